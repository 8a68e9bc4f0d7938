// Faults of the env file.
import { chmodSync } from "node:fs";
import type { Case } from "../case.ts";

export const settings: Case[] = [
  {
    name: "env-mode",
    what: "all users can read the env file (0644)",
    needs: "files",
    breaks: ["C.1"],
    says: /0644/,
    apply: (stage) => chmodSync(stage.path(".env.staging"), 0o644),
    undo: (stage) => chmodSync(stage.path(".env.staging"), 0o600),
  },
  {
    name: "placeholder",
    what: "a secret still has its placeholder",
    needs: "files",
    breaks: ["C.1"],
    preflight: ["C"],
    says: /STAGING_PASSWORD/,
    apply: (stage) => stage.env("STAGING_PASSWORD", "CHANGE_ME_password_of_the_seed_account"),
  },
  {
    name: "weak-secret",
    what: "a secret is long and weak",
    needs: "files",
    breaks: ["C.1"],
    says: /METRICS_TOKEN/,
    apply: (stage) => stage.env("METRICS_TOKEN", "abababababababababababababababab"),
  },
  {
    name: "secret-twice",
    what: "two secrets are the same",
    needs: "files",
    breaks: ["C.1"],
    says: /JWT_SECRET.*ENCRYPTION_KEY|ENCRYPTION_KEY.*JWT_SECRET/,
    apply: (stage) => stage.env("ENCRYPTION_KEY", stage.example.secret("JWT_SECRET")),
  },
  {
    name: "missing-key",
    what: "a required key is missing",
    needs: "files",
    breaks: ["C.1"],
    preflight: ["C"],
    says: /JWT_ISSUER/,
    apply: (stage) => stage.env("JWT_ISSUER", undefined),
  },
  {
    name: "empty-key",
    what: "a required key has no value",
    needs: "files",
    breaks: ["C.1"],
    says: /JWT_AUDIENCE/,
    apply: (stage) => stage.env("JWT_AUDIENCE", ""),
  },
  {
    name: "origins-star",
    what: "ALLOWED_ORIGINS is *",
    needs: "files",
    breaks: ["C.2", "H.c4"],
    says: /\*/,
    apply: (stage) => stage.env("ALLOWED_ORIGINS", "*"),
  },
  {
    name: "origins-stranger",
    what: "ALLOWED_ORIGINS lists a foreign origin",
    needs: "files",
    breaks: ["C.2", "H.c4"],
    says: /evil\.example/,
    apply: (stage) => stage.env("ALLOWED_ORIGINS", `${stage.example.secret("ALLOWED_ORIGINS")},https://evil.example`),
  },
  {
    name: "api-url-wrong",
    what: "NEXT_PUBLIC_API_URL has another address",
    needs: "files",
    breaks: ["C.2"],
    says: /NEXT_PUBLIC_API_URL/,
    apply: (stage) => stage.env("NEXT_PUBLIC_API_URL", "http://127.0.0.1:9"),
  },
  {
    name: "env-committed",
    what: "the env file is committed",
    needs: "stack",
    breaks: ["C.1", "H.c4"],
    says: /\.env\.staging/,
    apply: (stage) => {
      stage.example.git("add", "--force", ".env.staging");
      stage.example.git("commit", "--quiet", "--message", "Keep the settings safe");
    },
    // A hard reset would remove the file together with the commit.
    undo: (stage) => void stage.example.git("reset", "--quiet", "--mixed", "HEAD~1"),
  },
  {
    name: "env-drift",
    what: "the env file is changed after the deploy",
    needs: "stack",
    // All checks that ran with the earlier settings.
    breaks: ["B.2", "C.1", "C.2", "D.1", "D.2", "E.1", "F.1", "F.2", "F.3", "H.c3", "H.c4"],
    watched: true,
    blocker: /env file/,
    says: /env file/,
    apply: (stage) => stage.env("FEATURE_FLAG_WATCH_PARTY", "true"),
  },
];
