/** The frontend's entry: reads its two settings and listens. */
import { EnvReader, Logger, endOnSignal, originOf, readRelease } from "@medianest/shared";
import { createFrontend } from "./app.js";

const log = new Logger("frontend");
start();

function start(): void {
  const reader = new EnvReader(process.env);
  const port = reader.integer("PORT", 3000, 1, 65535);
  const apiUrl = originOf(process.env.NEXT_PUBLIC_API_URL ?? "");
  try {
    reader.finish();
    if (apiUrl === undefined) throw new Error("NEXT_PUBLIC_API_URL is no http address");
    const release = readRelease(process.env.RELEASE_FILE ?? "../release.json", process.env);
    const server = createFrontend({ apiUrl, release, publicFolder: process.env.PUBLIC_FOLDER ?? "public", log });
    server.listen(port, () => log.info("listening", { port, version: release.version }));
    endOnSignal(server, log, release.faults, async () => undefined);
  } catch (error) {
    log.error("cannot start", { cause: String(error) });
    process.exit(1);
  }
}
