// Starts a Cita server with the demo clinic for the whole run, and stops it: its address is in CITA_TEST_SERVER, and the
// directory of the mails that it sends in CITA_TEST_MAILS. A server that is named there already is used as it is.
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const BINARY = process.env.CITA_BIN ?? resolve(import.meta.dirname, "../../../target/debug/cita");

export default async function start(): Promise<(() => Promise<void>) | undefined> {
  if (process.env.CITA_TEST_SERVER) return undefined;
  const data = await mkdtemp(join(tmpdir(), "cita-dashboard-"));
  const mails = join(data, "mail");
  const server = spawn(BINARY, ["serve", "--listen", "127.0.0.1:0", "--data-dir", data, "--mail-spool", mails, "--demo"], { stdio: ["ignore", "pipe", "pipe"] });
  const ended = new Promise<void>((done) => server.once("exit", () => done()));
  process.env.CITA_TEST_SERVER = await new Promise<string>((found, failed) => {
    let printed = "";
    const read = (chunk: Buffer): void => {
      printed += chunk.toString();
      const address = /Cita serves at (http:\S+)/.exec(printed)?.[1];
      if (address) found(address);
    };
    server.stdout.on("data", read);
    server.stderr.on("data", read);
    server.once("error", failed);
    void ended.then(() => failed(new Error(`${BINARY} ended:\n${printed}`)));
  });
  process.env.CITA_TEST_MAILS = mails;
  return async () => {
    server.kill("SIGTERM");
    await ended;
    await rm(data, { recursive: true, force: true });
  };
}
