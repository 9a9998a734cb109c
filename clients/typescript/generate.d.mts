// The type of generate.mjs, for the test that compares what it makes with what is committed.

export function generate(): Promise<string>;
