/** The environment as a program sees it. */
export type Env = Record<string, string | undefined>;

/** Says every key that is missing or unusable, not only the first. */
export class ConfigError extends Error {
  readonly problems: string[];

  constructor(problems: string[]) {
    super(`configuration: ${problems.join("; ")}`);
    this.name = "ConfigError";
    this.problems = problems;
  }
}

/** Reads typed values from an environment and collects what is wrong on the way. */
export class EnvReader {
  readonly #env: Env;
  readonly #problems: string[] = [];

  constructor(env: Env) {
    this.#env = env;
  }

  /** A required text of at least `minLength` characters. */
  text(key: string, minLength = 1): string {
    const value = this.#env[key] ?? "";
    if (value === "") this.#problems.push(`${key} is missing`);
    else if (value.length < minLength) this.#problems.push(`${key} is shorter than ${minLength} characters`);
    return value;
  }

  /** A whole number between `min` and `max`, or `fallback` when the key is absent. */
  integer(key: string, fallback: number, min: number, max: number): number {
    const raw = this.#env[key];
    if (raw === undefined || raw === "") return fallback;
    const value = Number(raw);
    if (!Number.isInteger(value) || value < min || value > max) {
      this.#problems.push(`${key} is not a whole number from ${min} to ${max}`);
      return fallback;
    }
    return value;
  }

  /** The origins of a comma-separated list, each normalised; a wildcard is refused. */
  origins(key: string): string[] {
    const origins: string[] = [];
    for (const part of this.text(key).split(",").map((text) => text.trim()).filter(Boolean)) {
      const origin = originOf(part);
      if (origin === undefined) this.#problems.push(`${key} holds "${part}", which is no origin`);
      else origins.push(origin);
    }
    return origins;
  }

  /** Feature flags: every `FEATURE_FLAG_X`, by its name without the prefix in lower case. */
  flags(): Record<string, boolean> {
    const flags: Record<string, boolean> = {};
    for (const [key, value] of Object.entries(this.#env)) {
      if (key.startsWith("FEATURE_FLAG_")) flags[key.slice("FEATURE_FLAG_".length).toLowerCase()] = value === "true";
    }
    return flags;
  }

  /** Throws when anything read so far was wrong. */
  finish(): void {
    if (this.#problems.length > 0) throw new ConfigError(this.#problems);
  }
}

/** `scheme://host[:port]` of a URL, or undefined when it has a path, a wildcard or no http scheme. */
export function originOf(text: string): string | undefined {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return undefined;
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") return undefined;
  if (url.hostname.includes("*") || url.pathname !== "/" || url.search !== "" || url.hash !== "") return undefined;
  return url.origin;
}
