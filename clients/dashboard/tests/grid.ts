// The grid of a practice's calendar: times as it shows them in Bogotá, and hands that drag in it.
import type { Page } from "@playwright/test";
import { expect, starts, type Practice } from "./clinic";

export const event = (page: Page, id: string) => page.locator(`.ec-event:not(.ec-ghost):not(.ec-preview) [data-appointment="${id}"]`);
export const dateIn = (instant: string): string => new Date(Date.parse(instant) - 5 * 3_600_000).toISOString().slice(0, 10);
export const clock = (instant: string): string => new Date(Date.parse(instant) - 5 * 3_600_000).toISOString().slice(11, 16);
export const later = (instant: string, minutes: number): string => new Date(Date.parse(instant) + minutes * 60_000).toISOString().replace(".000Z", "Z");

/** A start in the middle of a morning, so that there is room around it. */
export async function morning(at: Practice, hhmm = "10:00", days = 2): Promise<string> {
  return (await starts(at, days)).find((start) => clock(start) === hhmm)!;
}

/** Where an event can be taken, and how far away the slots are, once nothing moves any more. */
export async function grip(page: Page, id: string): Promise<{ x: number; y: number; slot: number; column: number }> {
  // Once the doctor's hours are there the grid stays as it is; a hover waits until nothing moves.
  await expect(page.locator(".is-closed").first()).toBeAttached();
  // Away from the edges, wherever the grid has scrolled to by the hour of the test: near one it scrolls under the hand.
  await event(page, id).evaluate((button) => button.scrollIntoView({ block: "center" }));
  await event(page, id).hover({ position: { x: 20, y: 6 } });
  const box = (await event(page, id).boundingBox())!;
  const slot = await page.locator(".ec-body").first().evaluate((body) => Number.parseFloat(getComputedStyle(body).getPropertyValue("--ec-slot-height")));
  const column = (await page.locator(".ec-body .ec-day").first().boundingBox())!.width;
  return { x: box.x + box.width / 2, y: box.y + 6, slot, column };
}

/** Drags an event by minutes, as a hand does: down, a few moves, up. */
export async function drag(page: Page, id: string, minutes: number, columns = 0): Promise<void> {
  const { x, y, slot, column } = await grip(page, id);
  await page.mouse.move(x, y);
  await page.mouse.down();
  for (const part of [0.2, 0.6, 1]) await page.mouse.move(x + columns * column * part, y + (minutes / 30) * slot * part + 1);
  await page.mouse.up();
}

/** A finger on the screen, as the browser's own input has it: Playwright can only tap. */
export async function finger(page: Page) {
  const session = await page.context().newCDPSession(page);
  const send = (type: "touchStart" | "touchMove" | "touchEnd" | "touchCancel", points: { x: number; y: number }[] = []) =>
    session.send("Input.dispatchTouchEvent", { type, touchPoints: points });
  return {
    down: (x: number, y: number) => send("touchStart", [{ x, y }]),
    move: (x: number, y: number) => send("touchMove", [{ x, y }]),
    up: () => send("touchEnd"),
    /** The system takes the touch away: for a gesture of its own, a call. */
    cancel: () => send("touchCancel"),
  };
}
