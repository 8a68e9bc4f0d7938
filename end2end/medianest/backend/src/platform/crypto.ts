import { createCipheriv, createDecipheriv, createHash, createHmac, randomBytes, scryptSync, timingSafeEqual } from "node:crypto";

/** Compares two texts without telling by its duration where they differ. */
export function sameText(left: string, right: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(left), digest(right));
}

/** `salt:hash` of a password. */
export function hashPassword(password: string, salt = randomBytes(16).toString("hex")): string {
  return `${salt}:${scryptSync(password, salt, 32).toString("hex")}`;
}

/** Whether a password belongs to a stored `salt:hash`. */
export function passwordMatches(password: string, stored: string): boolean {
  const salt = stored.split(":")[0] ?? "";
  return sameText(hashPassword(password, salt), stored);
}

/** AES-256-GCM under a key derived from `secret`: `iv.tag.text`, each in base64url. */
export function encrypt(text: string, secret: string): string {
  const iv = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", keyOf(secret), iv);
  const body = Buffer.concat([cipher.update(text, "utf8"), cipher.final()]);
  return [iv, cipher.getAuthTag(), body].map((part) => part.toString("base64url")).join(".");
}

/** Undoes `encrypt`; throws when the text was changed or the secret is another. */
export function decrypt(sealed: string, secret: string): string {
  const [iv, tag, body] = sealed.split(".").map((part) => Buffer.from(part, "base64url"));
  if (!iv || !tag || !body) throw new Error("sealed text has the wrong shape");
  const decipher = createDecipheriv("aes-256-gcm", keyOf(secret), iv);
  decipher.setAuthTag(tag);
  return Buffer.concat([decipher.update(body), decipher.final()]).toString("utf8");
}

function keyOf(secret: string): Buffer {
  return createHash("sha256").update(`medianest field key:${secret}`).digest();
}

/** Who issues session tokens, for whom, with which secret. */
export interface TokenRules {
  secret: string;
  issuer: string;
  audience: string;
}

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
const sign = (body: string, secret: string) => createHmac("sha256", secret).update(body).digest("base64url");

/** A signed token (JWT, HS256) for `subject`, valid for `seconds` from `now` (milliseconds). */
export function issueToken(rules: TokenRules, subject: string, seconds: number, now: number): string {
  const claims = { sub: subject, iss: rules.issuer, aud: rules.audience, exp: Math.floor(now / 1000) + seconds };
  const body = `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}`;
  return `${body}.${sign(body, rules.secret)}`;
}

/** The subject of a valid token, or undefined. */
export function tokenSubject(rules: TokenRules, token: string, now: number): string | undefined {
  const [head, claims, signature, ...rest] = token.split(".");
  if (!head || !claims || !signature || rest.length > 0) return undefined;
  if (!sameText(signature, sign(`${head}.${claims}`, rules.secret))) return undefined;
  const read = JSON.parse(Buffer.from(claims, "base64url").toString("utf8")) as Record<string, unknown>;
  const valid = read.iss === rules.issuer && read.aud === rules.audience && Number(read.exp) * 1000 > now;
  return valid && typeof read.sub === "string" ? read.sub : undefined;
}
