// One digest over the sources that a build was made from; runs on the host and inside the image build.
import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

/** SHA-256 over the names and contents of `shared/src` and `<part>/src`. */
export function sourceDigest(root, part) {
  const hash = createHash("sha256");
  for (const folder of ["shared/src", `${part}/src`]) {
    for (const name of readdirSync(join(root, folder), { recursive: true }).map(String).sort()) {
      if (!name.endsWith(".ts")) continue;
      hash.update(`${folder}/${name}\0`).update(readFileSync(join(root, folder, name))).update("\0");
    }
  }
  return hash.digest("hex");
}

/** Why the build of `part` cannot be used, or undefined when it was made from the sources beside it. */
export function distProblem(root, part) {
  const mark = join(root, part, "dist", "source.sha256");
  if (!existsSync(mark)) return `${part}/dist is missing: run "npm ci" and "npm run build:production" first`;
  if (readFileSync(mark, "utf8").trim() !== sourceDigest(root, part)) {
    return `${part}/dist is older than its sources: run "npm run build:production" first`;
  }
  return undefined;
}
