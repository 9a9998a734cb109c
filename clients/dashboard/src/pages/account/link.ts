// The token of a link that was sent by e-mail. It is taken out of the address at once, so that it stays in no history.
export function linkToken(): string {
  const token = new URLSearchParams(location.hash.slice(1)).get("token") ?? "";
  if (token) history.replaceState(null, "", location.pathname);
  return token;
}
