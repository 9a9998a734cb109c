// The README says what is true: its snippets are one program, which is compiled and run against the demo clinic.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";
import ts from "typescript";
import { expect, test } from "vitest";
import { WebSocket } from "ws";
import { server } from "./cast.js";

const here = dirname(fileURLToPath(import.meta.url));
const readme = readFileSync(join(here, "../README.md"), "utf8");
const program = [...readme.matchAll(/```ts\n(.*?)```/gs)].map(([, snippet]) => snippet).join("\n");

test("its snippets compile", () => {
  const file = join(here, "readme.snippets.ts");
  const text = program.replace('"@cita/client"', '"../src/index.js"');
  const options: ts.CompilerOptions = {
    strict: true,
    noEmit: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    types: [],
    exactOptionalPropertyTypes: true,
    skipLibCheck: true,
  };
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists } = host;
  host.fileExists = (path) => path === file || fileExists(path);
  host.getSourceFile = (path, ...rest) =>
    path === file ? ts.createSourceFile(path, text, ts.ScriptTarget.ES2022) : getSourceFile(path, ...rest);
  const told = ts
    .getPreEmitDiagnostics(ts.createProgram([file], options, host))
    .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, "\n"));
  expect(told).toEqual([]);
  expect(program.length).toBeGreaterThan(1_000);
});

test("its snippets run", async () => {
  const directory = mkdtempSync(join(tmpdir(), "cita-readme-"));
  const Global = globalThis as { WebSocket?: unknown };
  const before = Global.WebSocket;
  try {
    const { outputFiles } = await build({
      stdin: { contents: program.replace("http://127.0.0.1:8080", server), loader: "ts", resolveDir: here },
      alias: { "@cita/client": join(here, "../src/index.ts") },
      bundle: true,
      format: "esm",
      target: "es2022",
      write: false,
    });
    const file = join(directory, "snippets.mjs");
    writeFileSync(file, outputFiles[0]?.text ?? "");
    // In Node 20 as in a browser.
    Global.WebSocket = WebSocket;
    await import(pathToFileURL(file).href);
  } finally {
    Global.WebSocket = before;
    rmSync(directory, { recursive: true, force: true });
  }
});
