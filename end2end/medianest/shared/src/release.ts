import { readFileSync } from "node:fs";

/** What is baked into an image: which version it is, and the faults that it was given on purpose. */
export interface Release {
  version: string;
  commit: string;
  faults: string[];
}

/**
 * Reads `release.json`. `APP_VERSION` and `APP_COMMIT` are set by the image build and win over the file,
 * which lets a pipeline name its builds.
 */
export function readRelease(path: string, env: Record<string, string | undefined>): Release {
  const file: unknown = JSON.parse(readFileSync(path, "utf8"));
  if (typeof file !== "object" || file === null || !("version" in file) || typeof file.version !== "string") {
    throw new Error(`${path} names no version`);
  }
  const faults = "faults" in file && Array.isArray(file.faults) ? file.faults.map(String) : [];
  return { version: env.APP_VERSION || file.version, commit: env.APP_COMMIT || "unknown", faults };
}
