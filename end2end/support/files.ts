// Folders and ports of tests. They are outside of the repository, except the logs and pictures that are kept.
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository. */
export const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");

const target = process.env.CARGO_TARGET_DIR ? resolve(process.env.CARGO_TARGET_DIR) : join(root, "target");

/** The release build of `.ci/build`. */
export const binary = process.env.STAGEGATE_BIN ?? join(target, "release/stagegate");
export const site = process.env.STAGEGATE_SITE ?? join(target, "site");

/** The folder of logs and pictures that are kept. */
export const kept = join(root, "target/end2end");

/** A subfolder of it, created if it does not exist. */
export function keptFolder(...parts: string[]): string {
  const folder = join(kept, ...parts);
  mkdirSync(folder, { recursive: true });
  return folder;
}

/** A new temporary folder outside of the repository. */
export function temporaryFolder(name: string): string {
  return mkdtempSync(join(tmpdir(), `stagegate-test-${name}-`));
}

export function removeFolder(path: string): void {
  rmSync(path, { recursive: true, force: true, maxRetries: 3 });
}

/** Free ports. All are open at the same time, so they differ. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((done, failed) => {
          server.once("error", failed);
          server.listen(0, "127.0.0.1", () => {
            const address = server.address();
            if (address === null || typeof address === "string") failed(new Error("a port has no number"));
            else done(address.port);
          });
        }),
    ),
  );
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}
