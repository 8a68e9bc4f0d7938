import type { Server } from "node:http";

/** Writes one JSON line to standard output. Values under keys that name a secret are never written. */
export class Logger {
  readonly #service: string;
  readonly #write: (line: string) => void;

  constructor(service: string, write: (line: string) => void = (line) => process.stdout.write(line)) {
    this.#service = service;
    this.#write = write;
  }

  info(message: string, facts: Record<string, unknown> = {}): void {
    this.#log("info", message, facts);
  }

  warn(message: string, facts: Record<string, unknown> = {}): void {
    this.#log("warn", message, facts);
  }

  error(message: string, facts: Record<string, unknown> = {}): void {
    this.#log("error", message, facts);
  }

  #log(level: string, message: string, facts: Record<string, unknown>): void {
    const shown = Object.fromEntries(
      Object.entries(facts).map(([key, value]) => [key, /password|secret|token|authorization/i.test(key) ? "***" : value]),
    );
    this.#write(`${JSON.stringify({ time: new Date().toISOString(), level, service: this.#service, message, ...shown })}\n`);
  }
}

/**
 * Ends a server on SIGTERM or SIGINT: no new connections, open answers may finish, `release` is awaited. With the fault
 * `deaf` it hears neither.
 */
export function endOnSignal(server: Server, log: Logger, faults: string[], release: () => Promise<void>): void {
  if (faults.includes("deaf")) {
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => log.info("deaf", { signal }));
    return;
  }
  let ending = false;
  const end = (signal: NodeJS.Signals) => {
    if (ending) return;
    ending = true;
    log.info("stopping", { signal });
    // Docker kills after its grace period; leaving earlier with a non-zero code tells that something hung.
    setTimeout(() => process.exit(1), 4000).unref();
    server.close(() => {
      release().then(
        () => process.exit(0),
        () => process.exit(1),
      );
    });
    server.closeIdleConnections();
  };
  process.on("SIGTERM", end);
  process.on("SIGINT", end);
}
