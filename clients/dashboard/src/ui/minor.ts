// Amounts of money as people type them, and in the minor units of the wire.
import type { Money } from "@cita/client";

const digits = (currency: string): number => new Intl.NumberFormat("en", { style: "currency", currency }).resolvedOptions().maximumFractionDigits ?? 2;

export const toMinor = (amount: number, currency: string): Money => ({ amountMinor: Math.round(amount * 10 ** digits(currency)), currency });
export const fromMinor = ({ amountMinor, currency }: Money): number => amountMinor / 10 ** digits(currency);
