// The start of the page: connect, then show.
import { mount } from "svelte";
import App from "./App.svelte";
import { appearance } from "./app/theme.svelte";
import { cita } from "./app/session.svelte";
import "./styles/tokens.css";
import "./styles/base.css";

appearance.set(appearance.theme);
cita.connect();
mount(App, { target: document.getElementById("app")! });
if (import.meta.env.PROD && "serviceWorker" in navigator) {
  // Without it everything works, only not offline.
  navigator.serviceWorker.register("/sw.js").catch(() => {});
}
