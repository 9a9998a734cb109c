// Clock times of the viewer, as a calendar draws them: `2026-12-01T14:30:00`, without a zone.

const two = (n: number): string => String(n).padStart(2, "0");

/** What the viewer's clock shows at an instant. */
export function wallOf(instant: string | number | Date): string {
  const at = new Date(instant);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}T${two(at.getHours())}:${two(at.getMinutes())}:00`;
}

/** The instant at which the viewer's clock shows it. */
export const instantOfWall = (wall: string): string => new Date(wall).toISOString().replace(".000Z", "Z");

/** So many minutes later on the same clock, whatever the zone does in between. */
export function laterOnWall(wall: string, minutes: number): string {
  return new Date(Date.parse(`${wall}Z`) + minutes * 60_000).toISOString().slice(0, 19);
}

export const minutesOf = (appointment: { start: string; end: string }): number => (Date.parse(appointment.end) - Date.parse(appointment.start)) / 60_000;
