// Containers that differ from the deployed release.
import { join } from "node:path";
import type { Case } from "../case.ts";
import { freePorts } from "../../support/files.ts";

export const stack: Case[] = [
  {
    name: "store-published",
    what: "Redis is published to the host",
    needs: "stack",
    breaks: ["B.2"],
    says: /redis/,
    apply: async (stage) => {
      const [port] = await freePorts(1);
      stage.override("redis", `services:\n  redis:\n    ports: ["127.0.0.1:${port}:6379"]\n`);
      await stage.health("redis", "healthy");
    },
    undo: (stage) => stage.asDeclared("redis"),
  },
  {
    name: "port-trap",
    what: "the container listens on 3001, and 3000 is mapped",
    needs: "stack",
    breaks: ["B.2", "E.1", "F.1", "F.3", "G.1", "H.c3", "H.c4", "H.c5"],
    says: /port-mapping \(fail\).*3000/,
    apply: async (stage) => {
      stage.override("backend", 'services:\n  backend:\n    environment: { PORT: "3001" }\n');
      await stage.health("backend", "unhealthy");
    },
    undo: (stage) => stage.asDeclared("backend"),
  },
  {
    name: "one-port-for-two",
    what: "the Compose file publishes two services on one port",
    needs: "stack",
    breaks: [],
    preflight: ["D"],
    says: /backend and frontend both publish host port/,
    apply: (stage) => {
      stage.edit("docker-compose.yml", "${FRONTEND_PORT:-3001}:3000", "${PORT:-3000}:3000");
      stage.commit("Publish twice");
    },
  },
  {
    name: "cache-down",
    what: "Redis is stopped",
    needs: "stack",
    breaks: ["B.2", "E.1", "F.1", "H.c3"],
    says: /redis/,
    apply: async (stage) => {
      stage.stop("redis");
      await stage.health("backend", "unhealthy");
    },
    undo: async (stage) => {
      await stage.start("redis");
      await stage.health("backend", "healthy");
    },
  },
  {
    name: "frontend-down",
    what: "the frontend is stopped",
    needs: "stack",
    breaks: ["B.2", "E.1", "F.1"],
    says: /frontend/,
    apply: (stage) => stage.stop("frontend"),
    undo: (stage) => stage.start("frontend"),
  },
  {
    name: "page-told-wrong",
    what: "the running page uses another API",
    needs: "stack",
    breaks: ["E.1"],
    says: /page-api \(fail\)/,
    apply: async (stage) => {
      stage.override("frontend", "services:\n  frontend:\n    environment: { NEXT_PUBLIC_API_URL: 'http://127.0.0.1:9' }\n");
      await stage.health("frontend", "healthy");
    },
    undo: (stage) => stage.asDeclared("frontend"),
  },
  {
    name: "proxy-down",
    what: "the proxy is stopped",
    needs: "stack",
    breaks: ["B.2", "E.1"],
    says: /proxy/,
    apply: (stage) => stage.stop("proxy"),
    undo: (stage) => stage.start("proxy"),
  },
  {
    name: "certificate-expired",
    what: "the proxy's certificate expired yesterday",
    needs: "stack",
    breaks: ["B.2"],
    says: /certificate \(fail\).*expired/i,
    apply: (stage) => {
      stage.example.node("scripts/make-cert.mjs", "--force", "--days=-1");
      stage.docker("kill", "--signal", "HUP", stage.container("proxy"));
    },
    undo: (stage) => {
      stage.example.node("scripts/make-cert.mjs", "--force");
      stage.docker("kill", "--signal", "HUP", stage.container("proxy"));
    },
  },
  {
    name: "certificate-ends-soon",
    what: "the proxy's certificate has three days left",
    needs: "stack",
    breaks: ["B.2"],
    says: /certificate \(fail\)/,
    apply: (stage) => {
      stage.example.node("scripts/make-cert.mjs", "--force", "--days=3");
      stage.docker("kill", "--signal", "HUP", stage.container("proxy"));
    },
    undo: (stage) => {
      stage.example.node("scripts/make-cert.mjs", "--force");
      stage.docker("kill", "--signal", "HUP", stage.container("proxy"));
    },
  },
  {
    name: "another-image",
    what: "the backend runs an image that was not deployed",
    needs: "stack",
    // All checks that ran with the deployed image.
    breaks: ["B.2", "D.1", "D.2", "E.1", "F.1", "F.2", "F.3", "H.c3", "H.c4"],
    watched: true,
    blocker: /backend runs a different image/,
    says: /different image/,
    apply: async (stage) => {
      const image = `${stage.example.project}/backend:by-hand`;
      stage.docker("commit", stage.container("backend"), image);
      stage.override("backend", `services:\n  backend:\n    image: ${image}\n`);
      await stage.health("backend", "healthy");
    },
    undo: async (stage) => {
      await stage.asDeclared("backend");
      // An image that is based on the deployed one would prevent its removal.
      stage.docker("rmi", "--force", `${stage.example.project}/backend:by-hand`);
    },
  },
  {
    name: "rollback-image-gone",
    what: "the older images of the backend are removed",
    needs: "points",
    breaks: ["H.c6"],
    says: /two-ways-back \(fail\).*backend/,
    apply: (stage) => {
      const tags = stage.docker("images", "--format", "{{.ID}} {{.Repository}}:{{.Tag}}").split("\n");
      const running = stage.docker("inspect", "--format", "{{.Image}}", stage.container("backend")).slice(7, 19);
      const older = tags.filter((line) => line.includes(`stagegate/keep/${stage.example.project}/backend:`) && !line.startsWith(running));
      const ids = new Set(older.map((line) => line.split(" ")[0]!));
      if (ids.size === 0) throw new Error("there is no older image of the backend");
      // Deploys that are no rollback targets also left images: none of the older ones may remain.
      const names = tags.filter((line) => ids.has(line.split(" ")[0]!)).map((line) => line.split(" ")[1]!);
      stage.docker("save", "--output", join(stage.aside, "image.tar"), ...names);
      stage.docker("rmi", "--force", ...names);
      const left = new Set(stage.docker("images", "--all", "--format", "{{.ID}}").split("\n"));
      if ([...ids].every((id) => left.has(id))) throw new Error("none of the older images went: something is made of them");
    },
    undo: (stage) => void stage.docker("load", "--quiet", "--input", join(stage.aside, "image.tar")),
  },
];
