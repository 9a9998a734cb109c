// The server that the tests talk to: the one that CITA_TEST_SERVER names, or one of CITA_BIN that lives as long as they run.

import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  interface ProvidedContext {
    server: string;
  }
}

const STARTS_WITHIN_MS = 120_000;

export default async function setup(project: TestProject): Promise<(() => Promise<void>) | void> {
  const {
    CITA_TEST_SERVER: given,
    CITA_BIN: bin = fileURLToPath(new URL("../../../target/debug/cita", import.meta.url)),
  } = process.env;
  if (given) return project.provide("server", given.replace(/\/$/, ""));
  const data = await mkdtemp(join(tmpdir(), "cita-client-"));
  const server = spawn(bin, ["serve", "--listen", "127.0.0.1:0", "--data-dir", data, "--demo"], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = new Promise<void>((resolve) => server.once("close", () => resolve()));
  const stop = async (): Promise<void> => {
    server.kill("SIGTERM");
    await ended;
    await rm(data, { recursive: true, force: true });
  };
  const address = new Promise<string>((resolve, reject) => {
    let told = "";
    const read = (chunk: Buffer): void => {
      told += chunk.toString();
      const found = /Cita serves at (http:\S+)/.exec(told)?.[1];
      if (found) resolve(found);
    };
    server.stdout.on("data", read);
    server.stderr.on("data", read);
    server.once("error", reject);
    void ended.then(() => reject(new Error(`${bin} has ended:\n${told}`)));
    setTimeout(() => reject(new Error(`${bin} did not come up:\n${told}`)), STARTS_WITHIN_MS).unref();
  });
  try {
    project.provide("server", await address);
  } catch (error) {
    await stop();
    throw error;
  }
  return stop;
}
