import { expect, test } from "vitest";
import { decrypt, encrypt, hashPassword, issueToken, passwordMatches, tokenSubject } from "../src/platform/crypto.js";

const rules = { secret: "s".repeat(32), issuer: "i", audience: "a" };
const NOW = 1_700_000_000_000;

test("a password matches its own hash only", () => {
  const stored = hashPassword("right");
  expect(passwordMatches("right", stored)).toBe(true);
  expect(passwordMatches("wrong", stored)).toBe(false);
});

test("sealed text opens with its key and with no other", () => {
  const sealed = encrypt("a note", "key");
  expect(sealed).not.toContain("note");
  expect(decrypt(sealed, "key")).toBe("a note");
  expect(() => decrypt(sealed, "other")).toThrow();
  expect(() => decrypt("short", "key")).toThrow();
});

test("a token is valid until it ends", () => {
  const token = issueToken(rules, "who", 60, NOW);
  expect(tokenSubject(rules, token, NOW)).toBe("who");
  expect(tokenSubject(rules, token, NOW + 61_000)).toBeUndefined();
});

test("a token of another secret, issuer or audience is refused", () => {
  const token = issueToken(rules, "who", 60, NOW);
  expect(tokenSubject({ ...rules, secret: "t".repeat(32) }, token, NOW)).toBeUndefined();
  expect(tokenSubject({ ...rules, issuer: "x" }, token, NOW)).toBeUndefined();
  expect(tokenSubject({ ...rules, audience: "x" }, token, NOW)).toBeUndefined();
  expect(tokenSubject(rules, "", NOW)).toBeUndefined();
});
