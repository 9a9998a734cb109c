// What an error of the registry means to a person, in their language.
import { CitaError } from "@cita/client";
import { messages } from "./i18n.svelte";

const t = messages({
  es: {
    codes: {
      malformed_message: "La solicitud no se entendió.",
      unknown_type: "El servidor no conoce esta operación.",
      unauthenticated: "Inicie sesión para continuar.",
      token_expired: "Su sesión caducó. Inicie sesión de nuevo.",
      session_revoked: "Esta sesión fue cerrada. Inicie sesión de nuevo.",
      forbidden: "No tiene permiso para hacer esto.",
      not_found: "No se encontró, o usted no tiene acceso.",
      slot_taken: "Otra persona acaba de tomar esta hora.",
      slot_unavailable: "Esta hora no está disponible.",
      patient_busy: "El paciente ya tiene otra cita a esa hora.",
      hold_expired: "Se acabó el tiempo de la reserva de esta hora.",
      illegal_transition: "El estado de la cita ya no lo permite.",
      already_reviewed: "Esta visita ya tiene una reseña.",
      not_reviewable: "Solo se puede reseñar una visita que tuvo lugar, y cambiar la reseña durante 30 días.",
      email_taken: "Ya existe una cuenta con este correo.",
      stale_rev: "Alguien lo cambió mientras tanto. Revise y vuelva a intentarlo.",
      message_too_large: "El texto es demasiado largo.",
      method_not_allowed: "El servidor no admite esta operación.",
      unsupported_media_type: "El servidor no admite este formato.",
      request_timeout: "La solicitud tardó demasiado en llegar. Inténtelo de nuevo.",
      idempotency_key_reused: "Esta solicitud ya se envió con otros datos. Vuelva a abrir la página e inténtelo de nuevo.",
      validation_failed: "Revise los datos marcados.",
      rate_limited: "Demasiados intentos. Espere un momento.",
      too_many_subscriptions: "Hay demasiadas vistas abiertas.",
      internal: "Algo falló de nuestro lado. Puede intentarlo de nuevo sin riesgo.",
      unavailable: "El servicio no está disponible en este momento. Inténtelo de nuevo.",
      timeout: "El servidor no respondió a tiempo. Inténtelo de nuevo.",
      offline: "Sin conexión. Inténtelo cuando vuelva.",
      aborted: "Cancelado.",
    } as Record<string, string>,
    rules: {
      archived: "El servicio ya no se ofrece.",
      not_approved: "El profesional aún no está aprobado.",
      past: "La hora ya pasó.",
      notice: "Falta muy poco para esta hora: el servicio pide más anticipación.",
      horizon: "Aún no se puede reservar con tanta anticipación.",
      holiday: "Es festivo.",
      time_off: "El profesional está ausente.",
      hours: "Está fuera del horario de atención.",
      step: "Las citas no comienzan a esta hora.",
      daily_limit: "Ese día ya no quedan cupos.",
      weekly_limit: "Esa semana ya no quedan cupos.",
      patients: "El servicio no es para este paciente.",
      resource: "La sala o el equipo está ocupado.",
      holds: "Ya tiene demasiadas horas apartadas. Suelte una primero.",
      waitlist: "Ya está en demasiadas listas de espera.",
      cutoff: "Ya es tarde para cambiarla aquí. Llame al consultorio.",
    } as Record<string, string>,
    fields: {
      required: "Falta este dato.",
      too_short: "Use más caracteres.",
      too_long: "Es demasiado largo.",
      invalid: "No es válido.",
      wrong: "No es correcta.",
      breached: "Es una contraseña que todo el mundo adivina. Elija otra.",
      guessable: "Es fácil de adivinar: no use su nombre ni su correo.",
      conflict: "Se cruza con otra.",
      too_many: "Son demasiados.",
      out_of_range: "Está fuera de los límites.",
      past: "Ya pasó.",
      overlap: "Se cruza con otra.",
      duplicate: "Está repetido.",
      order: "El final debe ser después del comienzo.",
      tick: "Los minutos van de cinco en cinco.",
    } as Record<string, string>,
    seconds: (n: number) => `Espere ${n} s.`,
  },
  en: {
    codes: {
      malformed_message: "The request was not understood.",
      unknown_type: "The server does not know this operation.",
      unauthenticated: "Log in to go on.",
      token_expired: "Your session has expired. Log in again.",
      session_revoked: "This session was ended. Log in again.",
      forbidden: "You may not do this.",
      not_found: "Not found, or you have no access.",
      slot_taken: "Somebody else has just taken this time.",
      slot_unavailable: "This time is not available.",
      patient_busy: "The patient has another appointment at that time.",
      hold_expired: "The time kept for you has run out.",
      illegal_transition: "The state of the appointment no longer allows this.",
      already_reviewed: "This visit has a review already.",
      not_reviewable: "Only a visit that took place can be reviewed, and a review be changed for 30 days.",
      email_taken: "There is an account with this e-mail address already.",
      stale_rev: "Somebody changed it in the meantime. Have a look and try again.",
      message_too_large: "The text is too long.",
      method_not_allowed: "The server does not allow this operation.",
      unsupported_media_type: "The server does not accept this format.",
      request_timeout: "The request took too long to arrive. Try again.",
      idempotency_key_reused: "This request was sent before with other details. Open the page again and retry.",
      validation_failed: "Check what is marked.",
      rate_limited: "Too many attempts. Wait a moment.",
      too_many_subscriptions: "Too many views are open.",
      internal: "Something went wrong on our side. Trying again does no harm.",
      unavailable: "The service is not available at the moment. Try again.",
      timeout: "The server did not answer in time. Try again.",
      offline: "No connection. Try again once it is back.",
      aborted: "Cancelled.",
    },
    rules: {
      archived: "The service is no longer offered.",
      not_approved: "The doctor has not been approved yet.",
      past: "That time has passed.",
      notice: "It is too close: the service wants more notice.",
      horizon: "It cannot be booked that far ahead yet.",
      holiday: "It is a public holiday.",
      time_off: "The doctor is away.",
      hours: "It is outside of the doctor's hours.",
      step: "No appointment starts at this time.",
      daily_limit: "There is no room left on that day.",
      weekly_limit: "There is no room left in that week.",
      patients: "The service is not for this patient.",
      resource: "The room or device is in use.",
      holds: "You are already holding too many times. Release one first.",
      waitlist: "You are on too many waitlists already.",
      cutoff: "It is too late to change it here. Call the practice.",
    },
    fields: {
      required: "This is missing.",
      too_short: "Use more characters.",
      too_long: "It is too long.",
      invalid: "It is not valid.",
      wrong: "It is not right.",
      breached: "Everybody guesses this password. Choose another one.",
      guessable: "It is easy to guess: use neither your name nor your address.",
      conflict: "It overlaps another one.",
      too_many: "There are too many.",
      out_of_range: "It is outside of the limits.",
      past: "It is over.",
      overlap: "It overlaps another one.",
      duplicate: "It is there already.",
      order: "The end must be after the beginning.",
      tick: "Minutes go in steps of five.",
    },
    seconds: (n) => `Wait ${n} s.`,
  },
});

/** A sentence for whatever was thrown. */
export function explain(error: unknown): string {
  if (!(error instanceof CitaError)) return t.codes.internal!;
  const rule = error.rule && t.rules[error.rule];
  if (rule) return rule;
  const said = t.codes[error.code] ?? error.title;
  return error.retryAfterMs ? `${said} ${t.seconds(Math.ceil(error.retryAfterMs / 1000))}` : said;
}

export const explainRule = (rule: string): string => t.rules[rule] ?? rule;

/** The sentence for the code of a field's mistake. */
export const explainField = (code: string): string => t.fields[code] ?? code;

/** The mistakes of a form by JSON pointer: `{ "/email": "…" }`; of an error that is not about fields, none. */
export function mistakes(error: unknown): Record<string, string> {
  const errors = error instanceof CitaError ? (error.errors ?? []) : [];
  return Object.fromEntries(errors.map(({ pointer, code, detail }) => [pointer, t.fields[code] ?? detail ?? code]));
}
