import { Router, type Request, type RequestHandler } from "express";
import type { Logger } from "@medianest/shared";
import { hashPassword, issueToken, passwordMatches, tokenSubject, type TokenRules } from "../platform/crypto.js";
import type { Library } from "./ports.js";

const SESSION_SECONDS = 3600;
// An unknown account costs as much time as a wrong password.
const NOBODY = hashPassword("nobody", "0".repeat(32));

/** Sign-in, and who one is. */
export function sessionRoutes(library: Library, rules: TokenRules, log: Logger, limit: RequestHandler): Router {
  const router = Router();
  router.post("/auth/login", limit, async (req, res) => {
    const { email, password } = (req.body ?? {}) as Record<string, unknown>;
    if (typeof email !== "string" || typeof password !== "string") {
      res.status(400).json({ error: "email and password are needed" });
      return;
    }
    const account = await library.findAccount(email.toLowerCase());
    const matches = passwordMatches(password, account?.passwordHash ?? NOBODY);
    if (!account || !matches) {
      log.warn("sign-in refused");
      res.status(401).json({ error: "email or password is wrong" });
      return;
    }
    res.json({ token: issueToken(rules, account.email, SESSION_SECONDS, Date.now()), expiresInSeconds: SESSION_SECONDS });
  });
  router.get("/me", signedIn(rules), (_req, res) => {
    res.json({ email: res.locals.email as string });
  });
  return router;
}

/** Lets only requests with a valid bearer token pass and notes whose it is. */
export function signedIn(rules: TokenRules): RequestHandler {
  return (req, res, next) => {
    const email = tokenSubject(rules, bearerOf(req), Date.now());
    if (email === undefined) {
      res.status(401).set("WWW-Authenticate", "Bearer").json({ error: "sign in first" });
      return;
    }
    res.locals.email = email;
    next();
  };
}

/** The bearer token of a request, or an empty text. */
export function bearerOf(req: Request): string {
  return /^Bearer (.+)$/.exec(req.headers.authorization ?? "")?.[1] ?? "";
}
