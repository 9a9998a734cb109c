// Amounts of money as people type them, and in the minor units of the wire.
import type { Money } from "@cita/client";

/** ISO 4217 has two decimals but for these. `Intl` goes by what is in daily use, which for pesos is none. */
const DECIMALS: Record<string, number> = Object.fromEntries([
  ...["BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"].map((currency) => [currency, 0]),
  ...["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"].map((currency) => [currency, 3]),
  ...["CLF", "UYW"].map((currency) => [currency, 4]),
]);

export const decimals = (currency: string): number => DECIMALS[currency] ?? 2;
export const toMinor = (amount: number, currency: string): Money => ({ amountMinor: Math.round(amount * 10 ** decimals(currency)), currency });
export const fromMinor = ({ amountMinor, currency }: Money): number => amountMinor / 10 ** decimals(currency);
