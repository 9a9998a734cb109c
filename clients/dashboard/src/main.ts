// The start of the page: connect, then show.
import { mount } from "svelte";
import App from "./App.svelte";
import { appearance } from "./app/theme.svelte";
import { cita } from "./app/session.svelte";
import { clock } from "./app/time.svelte";
import "./styles/tokens.css";
import "./styles/base.css";

appearance.set(appearance.theme);
cita.connect();
// Devices' clocks are often wrong: the server's is known as soon as there is a connection.
clock.follow(() => cita.now());
cita.connection.subscribe(() => clock.look());
mount(App, { target: document.getElementById("app")! });
if (import.meta.env.PROD && "serviceWorker" in navigator) {
  // Without it everything works, only not offline.
  navigator.serviceWorker.register("/sw.js").catch(() => {});
}
