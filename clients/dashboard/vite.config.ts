// How the dashboard is built: hashed files with compressed variants beside them, and a service worker that knows their names.
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { defineConfig, type Plugin } from "vite";

/** Where `npm run dev` finds a Cita server. */
const SERVER = process.env.CITA_URL ?? "http://127.0.0.1:8080";
const COMPRESSIBLE = /\.(html|js|css|svg|webmanifest|json)$/;

export default defineConfig({
  plugins: [svelte(), serviceWorker(), compress()],
  build: { target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false }, reportCompressedSize: false },
  // The server takes cookies from pages of its own origin: `npm run dev` passes for one.
  server: { proxy: { "/v1": { target: SERVER, ws: true, changeOrigin: true, headers: { Origin: SERVER } }, "/readyz": SERVER, "/livez": SERVER } },
});

/** Writes the names of all files into `sw.js`, and a version that changes with any of them. */
function serviceWorker(): Plugin {
  return {
    name: "cita-service-worker",
    apply: "build",
    writeBundle: { order: "post", sequential: true, handler({ dir }) {
      const root = dir!;
      const files = list(root).filter((file) => !/^sw\.js|\.(br|gz)$/.test(file)).sort();
      const version = createHash("sha256");
      for (const file of files) version.update(file).update(readFileSync(join(root, file)));
      const worker = readFileSync(join(root, "sw.js"), "utf8");
      writeFileSync(
        join(root, "sw.js"),
        worker
          .replace('"__VERSION__"', JSON.stringify(version.digest("hex").slice(0, 12)))
          .replace('"__FILES__"', JSON.stringify(files.filter((file) => file !== "index.html").map((file) => `/${file}`))),
      );
    } },
  };
}

/** Writes `name.br` and `name.gz` beside whatever becomes smaller by it. */
function compress(): Plugin {
  return {
    name: "cita-compress",
    apply: "build",
    writeBundle: { order: "post", sequential: true, handler({ dir }) {
      for (const file of list(dir!).filter((name) => COMPRESSIBLE.test(name))) {
        const path = join(dir!, file);
        const bytes = readFileSync(path);
        const br = brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } });
        if (br.length >= bytes.length) continue;
        writeFileSync(`${path}.br`, br);
        writeFileSync(`${path}.gz`, gzipSync(bytes, { level: 9 }));
      }
    } },
  };
}

function list(root: string): string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1));
}
