// A small stack with fast commands, for tests that need no deploy.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { removeFolder, temporaryFolder } from "./files.ts";
import { Stagegate } from "./stagegate.ts";

const runbook = `# Small

- DevOps DRI: the host

## Phase 1 — Ready (Gate A)

\`\`\`bash
# Say hello
echo hello from the step
# Say something nasty
printf '%s\\n' '<script>window.hacked = 1</script>' '</script><img src=x onerror="window.hacked = 1">' ; printf '\\033[31mred\\033[0m \\033]0;title\\007 \\033[2Jcleared\\n'
# Count slowly
for n in 1 2 3 4 5 6 7 8; do echo "line $n"; sleep 0.5; done
\`\`\`

Acceptance (Gate A):
- A person checked <b>it</b>.

## Phase 2 — Go (Gate H)

- [ ] Gate A accepted
- [ ] Stakeholder sign-offs: DevOps

## Verification Matrix

| Category | Command | Owner | Acceptance |
|---|---|---|---|
| Greeting | \`echo hello\` | DevOps | The output is hello |

## Ownership Log

- Seen by: ____  on: ____
`;

const config = `runbook = "runbook.md"

[stack]
name = "Small"
files = ["compose.yml"]

[gates.A]
owners = ["DevOps"]

[[check]]
id = "greets"
title = "Greeting"
kind = "command"
run = "echo hello"
proves = [{ matrix = "M.1", contains = "hello" }]
`;

export class Small {
  private constructor(
    readonly server: Stagegate,
    private readonly folder: string,
  ) {}

  static async start(name: string): Promise<Small> {
    const folder = temporaryFolder(name);
    const stack = join(folder, "stack");
    mkdirSync(stack);
    writeFileSync(join(stack, "runbook.md"), runbook);
    writeFileSync(join(stack, "stagegate.toml"), config);
    writeFileSync(join(stack, "compose.yml"), "services:\n  web:\n    image: stagegate-test/none:1\n");
    return new Small(await Stagegate.serve(join(stack, "stagegate.toml"), join(folder, "data"), name), folder);
  }

  async remove(): Promise<void> {
    await this.server.stop();
    removeFolder(this.folder);
  }
}
