//! The runbook and the configuration that the tests work with.

/// Four gates, five kinds of step, a checklist, an ownership log.
pub const RUNBOOK: &str = "\
# Bench Runbook

## Roles & DRIs

- DevOps DRI: the host
- Backend DRI: the API
- QA DRI: the matrix

## Phase 1 — Baseline (Gate A)

```bash
# Unit tests
sh unit.sh
# A long one
echo begun; sleep 3; echo over
# A look at the page
open http://localhost/
# Bring it up
docker compose up -d --build
# One that lasts
echo begun; sleep 60
# Says its secret
echo \"the token is $TOKEN\"
```

Acceptance (Gate A):
- Unit tests are green, with coverage ≥ 65%.
- Somebody looked at the page.

## Phase 2 — Data (Gate B)

Acceptance (Gate B):
- A note file is there.

## Phase 3 — Validation (Gate F)

Acceptance (Gate F):
- Smoke passes on what runs.

## Phase 4 — Decision (Gate H)

- [ ] Gates A–F accepted and documented
- [ ] Stakeholder sign‑offs: Backend / Frontend / QA / Security / DevOps / PO

## Verification Matrix

| Category | Command/Method | Owner | Acceptance |
|---|---|---|---|
| Unit | `sh unit.sh` | Devs/QA | ≥ 65% lines |

## Ownership Log (fill during execution)

- Host provisioned by: ____  on: ____
- First deploy commit: ____  date: ____  tags: ____
- Rollback drill date: ____  duration: ____  notes: ____
";

/// The configuration of the stack `project`.
pub fn config(project: &str, extra: &str) -> String {
    format!(
        "runbook = \"runbook.md\"

[stack]
name = \"Bench\"
project = \"{project}\"
directory = \".\"
files = [\"docker-compose.yml\"]
env_file = \".env.bench\"

[stack.urls]
web = \"http://127.0.0.1:${{PORT}}\"

[deploy]
health_timeout = \"25s\"
smoke = [\"web-health\"]

[gates.A]
owners = [\"Backend\"]
[gates.B]
owners = [\"DevOps\"]
[gates.F]
owners = [\"QA\"]

[[check]]
id = \"unit\"
title = \"Unit tests\"
kind = \"command\"
step = \"A.s1\"
proves = [{{ criterion = \"A.1\", contains = \"green\" }}]

[[check]]
id = \"coverage\"
title = \"Coverage\"
kind = \"command\"
step = \"A.s1\"
proves = [{{ criterion = \"A.1\", contains = \"coverage\" }}, {{ matrix = \"M.1\", contains = \"65%\" }}]
value = {{ regex = \"lines ([0-9]+)\" }}
expect = \">= 65 %\"

[[check]]
id = \"note\"
title = \"The note\"
kind = \"file\"
path = \"note.txt\"
proves = [{{ criterion = \"B.1\", contains = \"note file\" }}]

[[check]]
id = \"web-health\"
title = \"Web answers\"
kind = \"http\"
url = \"${{web}}/cgi-bin/health\"
body_contains = \"ok\"
retries = 2
proves = [{{ criterion = \"F.1\", contains = \"Smoke\" }}]
{extra}"
    )
}
