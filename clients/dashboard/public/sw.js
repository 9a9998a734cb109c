// Opens the dashboard without a network: it keeps the program, never an answer of the server. What the program last knew, it keeps itself,
// and says how old it is. The build writes the names of the files and a version of them all.
const CACHE = `cita-${"__VERSION__"}`;
const FILES = "__FILES__";
/** How long a network may seem to be there. */
const PATIENCE_MS = 4_000;

self.addEventListener("install", (event) => {
  event.waitUntil(
    caches
      .open(CACHE)
      .then((cache) => cache.addAll(["/", ...FILES])),
  );
});

// A new version waits until no page of the old one is open: it still needs the old files, which the server has no more.
self.addEventListener("activate", (event) => {
  event.waitUntil(
    caches
      .keys()
      .then((names) => Promise.all(names.filter((name) => name !== CACHE).map((name) => caches.delete(name))))
      .then(() => self.clients.claim()),
  );
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== location.origin) return;
  if (request.mode === "navigate") {
    // The server's own pages, such as /docs, are its own.
    if (!url.pathname.startsWith("/docs")) event.respondWith(page(request));
  } else if (FILES.includes(url.pathname)) {
    event.respondWith(caches.match(request).then((hit) => hit ?? fetch(request)));
  }
});

/** The page of the server, or the one that is kept where it does not answer, or something else does in its place. */
async function page(request) {
  const answer = await Promise.race([
    fetch(request).catch(() => undefined),
    new Promise((late) => setTimeout(late, PATIENCE_MS)),
  ]);
  if (answer && answer.status < 500) return answer;
  return (await (await caches.open(CACHE)).match("/")) ?? answer ?? Response.error();
}
