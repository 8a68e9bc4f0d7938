import { ConfigError } from "@medianest/shared";
import { expect, test } from "vitest";
import { readConfig } from "../src/config.js";
import { environment } from "./support.js";

const problemsOf = (env: Record<string, string>) => {
  try {
    readConfig(env);
  } catch (error) {
    return error instanceof ConfigError ? error.problems : [String(error)];
  }
  return [];
};

test("a full environment is read", () => {
  const config = readConfig({ ...environment, PORT: "8080", PLEX_TOKEN: "real", TMDB_API_KEY: "CHANGE_ME_tmdb" });
  expect(config.port).toBe(8080);
  expect(config.flags).toEqual({ requests: true });
  expect(config.integrations).toMatchObject({ plex: true, tmdb: false, youtube: false });
});

test("every missing key is named at once", () => {
  expect(problemsOf({}).length).toBeGreaterThanOrEqual(9);
});

test.each([
  ["a wildcard origin", { ALLOWED_ORIGINS: "*" }],
  ["an origin with a path", { ALLOWED_ORIGINS: "https://a.example.com/x" }],
  ["a port out of range", { PORT: "70000" }],
  ["a short secret", { JWT_SECRET: "short" }],
])("%s is refused", (_name, change) => {
  expect(problemsOf({ ...environment, ...change })).toHaveLength(1);
});
