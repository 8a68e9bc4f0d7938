import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { Logger, originOf, readRelease } from "../src/index.js";

const folder = mkdtempSync(join(tmpdir(), "medianest-"));
afterAll(() => rmSync(folder, { recursive: true }));

test.each([
  ["https://a.example.com", "https://a.example.com"],
  ["https://a.example.com:443/", "https://a.example.com"],
  ["https://*.example.com", undefined],
  ["ftp://a.example.com", undefined],
  ["a.example.com", undefined],
])("the origin of %s is %s", (text, origin) => {
  expect(originOf(text)).toBe(origin);
});

describe("release", () => {
  const path = join(folder, "release.json");
  test("is read from its file", () => {
    writeFileSync(path, '{"version":"1.2.3","faults":["health"]}');
    expect(readRelease(path, {})).toEqual({ version: "1.2.3", commit: "unknown", faults: ["health"] });
  });
  test("is named by the image build when that says so", () => {
    writeFileSync(path, '{"version":"1.2.3"}');
    expect(readRelease(path, { APP_VERSION: "2.0.0", APP_COMMIT: "abc" })).toEqual({ version: "2.0.0", commit: "abc", faults: [] });
  });
  test("without a version is refused", () => {
    writeFileSync(path, "{}");
    expect(() => readRelease(path, {})).toThrow("no version");
  });
});

test("the log is one JSON object per line and hides what is named as secret", () => {
  const lines: string[] = [];
  new Logger("backend", (line) => lines.push(line)).info("hello", { path: "/x", apiToken: "abc" });
  expect(lines).toHaveLength(1);
  expect(JSON.parse(lines[0] ?? "")).toMatchObject({ level: "info", service: "backend", message: "hello", path: "/x", apiToken: "***" });
});
