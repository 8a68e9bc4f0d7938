import { EnvReader, type Env } from "@medianest/shared";

/** Everything that the API reads from its environment, checked once at start. */
export interface Config {
  port: number;
  databaseUrl: string;
  redisUrl: string;
  redisPassword: string;
  jwt: { secret: string; issuer: string; audience: string };
  encryptionKey: string;
  metricsToken: string;
  allowedOrigins: string[];
  /** Requests per minute and address under `/api`. */
  ratePerMinute: number;
  /** Sign-in attempts on one account within `loginSeconds`. */
  logins: number;
  loginSeconds: number;
  flags: Record<string, boolean>;
  integrations: Record<string, boolean>;
}

const INTEGRATIONS = ["PLEX_TOKEN", "OVERSEERR_API_KEY", "UPTIME_KUMA_API_KEY", "TMDB_API_KEY", "YOUTUBE_API_KEY"];

/** Reads the configuration, or throws a `ConfigError` that names every problem. */
export function readConfig(env: Env): Config {
  const reader = new EnvReader(env);
  const config: Config = {
    port: reader.integer("PORT", 3000, 1, 65535),
    databaseUrl: reader.text("DATABASE_URL"),
    redisUrl: reader.text("REDIS_URL"),
    redisPassword: reader.text("REDIS_PASSWORD"),
    jwt: {
      secret: reader.text("JWT_SECRET", 32),
      issuer: reader.text("JWT_ISSUER"),
      audience: reader.text("JWT_AUDIENCE"),
    },
    encryptionKey: reader.text("ENCRYPTION_KEY", 32),
    metricsToken: reader.text("METRICS_TOKEN", 16),
    allowedOrigins: reader.origins("ALLOWED_ORIGINS"),
    ratePerMinute: reader.integer("RATE_LIMIT_PER_MINUTE", 600, 1, 1_000_000),
    logins: reader.integer("LOGIN_LIMIT", 5, 1, 1_000_000),
    loginSeconds: reader.integer("LOGIN_LIMIT_SECONDS", 15, 1, 3600),
    flags: reader.flags(),
    integrations: Object.fromEntries(
      INTEGRATIONS.map((key) => [key.split("_")[0]?.toLowerCase() ?? key, Boolean(env[key]) && !env[key]?.startsWith("CHANGE_ME")]),
    ),
  };
  reader.finish();
  return config;
}
