/** The API's entry: reads the configuration, connects, listens. */
import { ConfigError, Logger, endOnSignal, readRelease } from "@medianest/shared";
import { createApp } from "./api/app.js";
import { readConfig, type Config } from "./config.js";
import { RedisCache } from "./data/cache.js";
import { connect } from "./data/connection.js";
import { PostgresLibrary } from "./data/library.js";

const CRASH_MS = 20_000;
start();

function start(): void {
  const release = readRelease(process.env.RELEASE_FILE ?? "../release.json", process.env);
  const log = release.faults.includes("text-logs")
    ? new Logger("backend", (line) => process.stdout.write(`backend says: ${String((JSON.parse(line) as { message: unknown }).message)}\n`))
    : new Logger("backend");
  if (release.faults.includes("crash")) setTimeout(() => process.exit(1), CRASH_MS).unref();
  let config: Config;
  try {
    config = readConfig(process.env);
  } catch (error) {
    log.error("cannot start", { problems: error instanceof ConfigError ? error.problems : [String(error)] });
    process.exit(1);
  }
  const library = new PostgresLibrary(connect(config.databaseUrl), config.encryptionKey);
  const cache = new RedisCache(config.redisUrl, config.redisPassword, log);
  const app = createApp({ config, release, library, cache, log });
  const server = app.listen(config.port, (error?: Error) => {
    if (error) {
      log.error("cannot listen", { port: config.port, cause: error.message });
      process.exit(1);
    }
    log.info("listening", { port: config.port, version: release.version, commit: release.commit });
  });
  endOnSignal(server, log, release.faults, async () => {
    await Promise.all([library.close(), cache.close()]);
  });
}
