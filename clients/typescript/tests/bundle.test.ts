// What a page has to load.

import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { expect, test } from "vitest";

const entry = (name: string) => new URL(`../src/${name}`, import.meta.url).pathname;

async function bundle(name: string): Promise<{ text: string; inputs: string[] }> {
  const { outputFiles, metafile } = await build({
    entryPoints: [entry(name)],
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    write: false,
    metafile: true,
  });
  return { text: outputFiles[0]?.text ?? "", inputs: Object.keys(metafile.inputs) };
}

test("the whole client is smaller than 10,000 bytes, minified and compressed", async () => {
  const { text } = await bundle("index.ts");
  expect(gzipSync(text, { level: 9 }).length).toBeLessThan(10_000);
});

test("nothing of another package is in it", async () => {
  const { inputs } = await bundle("index.ts");
  expect(inputs.filter((input) => input.includes("node_modules"))).toEqual([]);
});

test("the hooks for React take React from outside", async () => {
  const { text, inputs } = await bundle("react.ts");
  expect(inputs).toEqual([expect.stringMatching(/react\.ts$/)]);
  expect(gzipSync(text).length).toBeLessThan(400);
});
