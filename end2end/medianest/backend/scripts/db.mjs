// Door to the database commands. Inside the backend container they run at once; on a host they go to the running
// stack through `docker compose exec`, because PostgreSQL publishes no port.
import { spawnSync } from "node:child_process";

const IN_CONTAINER = ["migrate", "seed", "rollback", "check"];
const [command = ""] = process.argv.slice(2);

if (process.env.MEDIANEST_CONTAINER === "1") {
  if (!IN_CONTAINER.includes(command)) {
    console.error(`db ${command}: runs on the host, not in a container`);
    process.exit(2);
  }
  process.exit(spawnSync(process.execPath, ["dist/db.cjs", command], { stdio: "inherit" }).status ?? 1);
}

const { run } = await import("../../scripts/lib/db-host.mjs");
process.exit(await run(command, IN_CONTAINER));
