// The mails that the server has sent during the run, which it leaves in a directory.
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "./clinic";

/** The text of each mail to an address, the oldest first. */
export async function mailsTo(address: string): Promise<string[]> {
  const directory = process.env.CITA_TEST_MAILS!;
  const names = (await readdir(directory).catch(() => [])).filter((name) => name.endsWith(".eml")).sort();
  const mails = await Promise.all(names.map((name) => readFile(join(directory, name), "latin1")));
  return mails.filter((mail) => mail.includes(address)).map(plain);
}

/** What quoted-printable has written, in UTF-8. */
const plain = (mail: string): string =>
  Buffer.from(mail.replaceAll("=\r\n", "").replaceAll(/=([\dA-F]{2})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16))), "latin1").toString("utf8");

/** The token of the newest mail of a kind to an address. */
export async function mailed(address: string, page: string): Promise<string> {
  let token: string | undefined;
  await expect
    .poll(async () => {
      const found = (await mailsTo(address)).map((mail) => new RegExp(`${page}#token=([\\w-]+)`).exec(mail)?.[1]);
      return (token = found.findLast(Boolean));
    })
    .toBeTruthy();
  return token!;
}
