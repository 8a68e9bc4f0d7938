//! The output of each command, compared with committed snapshots. Each is a transcript: the command, its output, its
//! errors, and its exit code.

use std::fmt::Write as _;
use std::path::Path;

use super::{PLAIN, err, out, repository, stack, stagegate};

/// A sequence of commands in one directory.
struct Transcript<'a> {
    dir: &'a Path,
    text: String,
}

impl Transcript<'_> {
    fn of(dir: &Path) -> Transcript<'_> {
        Transcript { dir, text: String::new() }
    }

    /// Runs a command and returns its output.
    fn run(&mut self, args: &[&str]) -> String {
        let output = stagegate(args, self.dir);
        let typed: Vec<&str> = args.iter().map(|arg| if arg.is_empty() { "''" } else { arg }).collect();
        let code = output.status.code().map_or("signal".to_owned(), |code| code.to_string());
        let _ = writeln!(self.text, "$ stagegate {}", self.filtered(&typed.join(" ")));
        for (prefix, text) in [("", out(&output)), ("! ", err(&output))] {
            for line in self.filtered(&text).lines() {
                let _ = writeln!(self.text, "{}", format!("{prefix}{line}").trim_end());
            }
        }
        let _ = writeln!(self.text, "[exit {code}]\n");
        out(&output)
    }

    /// A remark between two commands.
    fn remark(&mut self, text: &str) {
        let _ = writeln!(self.text, "# {text}");
    }

    /// Replaces what differs between machines or runs with placeholders.
    fn filtered(&self, text: &str) -> String {
        let mut text = text
            .replace(&self.dir.display().to_string(), "[dir]")
            .replace(&repository().display().to_string(), "[repository]")
            .replace(&format!("stagegate {} ", env!("CARGO_PKG_VERSION")), "stagegate [version] ");
        for (before, named) in [("/link/", "[token]")] {
            let mut parts = text.split(before);
            let mut replaced = parts.next().unwrap_or_default().to_owned();
            for part in parts {
                let rest =
                    part.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_');
                let _ = write!(replaced, "{before}{named}{rest}");
            }
            text = replaced;
        }
        without_hashes(&text)
    }

    fn compare(self, name: &str) {
        insta::with_settings!({
            snapshot_path => "../snapshots",
            prepend_module_to_snapshot => false,
            omit_expression => true,
        }, {
            insta::assert_snapshot!(name, self.text);
        });
    }
}

fn without_hashes(text: &str) -> String {
    let mut replaced = String::new();
    let mut hex = String::new();
    for c in text.chars().chain(['\n']) {
        if c.is_ascii_hexdigit() {
            hex.push(c);
            continue;
        }
        replaced.push_str(if hex.len() == 64 { "[hash]" } else { &hex });
        hex.clear();
        replaced.push(c);
    }
    replaced.pop();
    replaced
}

#[test]
fn help() {
    let dir = tempfile::tempdir().unwrap();
    let mut transcript = Transcript::of(dir.path());
    let commands: [&[&str]; 12] = [
        &[],
        &["serve"],
        &["check"],
        &["user"],
        &["user", "add"],
        &["user", "roles"],
        &["user", "reset"],
        &["monitoring"],
        &["verify"],
        &["prune"],
        &["env-copy"],
        &["version"],
    ];
    for command in commands {
        let text = transcript.run(&[command, &["--help"]].concat());
        assert!(!text.contains("supervise"), "that command is hidden");
    }
    transcript.run(&["version"]);
    transcript.compare("help");
}

#[test]
fn check() {
    let dir = stack(PLAIN);
    let mut transcript = Transcript::of(dir.path());
    transcript.run(&["check"]);
    transcript.run(&["check", "--runbook", "runbook.md", "--json"]);
    transcript.run(&["check", "--runbook", "nowhere.md"]);
    transcript.run(&["check", "--config", "nowhere.toml"]);
    transcript.run(&["check", "--config", "stagegate.toml", "--runbook", "runbook.md"]);
    std::fs::write(dir.path().join("junk.md"), [0_u8, 255, 254, 7, b'#', b'\n', 0x80]).unwrap();
    transcript.run(&["check", "--runbook", "junk.md"]);
    std::fs::remove_file(dir.path().join("stagegate.toml")).unwrap();
    transcript.run(&["check"]);
    transcript.compare("check");
}

#[test]
fn mistakes_in_the_stacks_files() {
    let dir = stack(&format!(
        "{PLAIN}colour = \"red\"\n\n[[check]]\nid = \"a\"\nkind = \"command\"\nrun = \"true\"\n\n\
         [[check]]\nid = \"b\"\nkind = \"command\"\nrun = \"true\"\n\
         proves = [{{ criterion = \"A.1\", contains = \"latency\" }}, {{ criterion = \"Z.9\" }}]\n"
    ));
    let mut transcript = Transcript::of(dir.path());
    let config = |text: &str| std::fs::write(dir.path().join("stagegate.toml"), text).unwrap();
    transcript.run(&["check"]);
    transcript.remark("Every other command says the same.");
    transcript.run(&["verify"]);
    transcript.remark("No TOML.");
    config("runbook = \n");
    transcript.run(&["check"]);
    transcript.remark("The runbook is missing.");
    config(&PLAIN.replace("runbook.md", "other.md"));
    transcript.run(&["check"]);
    transcript.remark("[retention] runs = \"1h\"");
    config(&format!("{PLAIN}\n[retention]\nruns = \"1h\"\n"));
    transcript.run(&["prune"]);
    transcript.compare("mistakes");
}

#[test]
fn settings_that_prevent_the_start_of_the_server() {
    let dir = stack(PLAIN);
    std::fs::create_dir_all(dir.path().join("site/pkg")).unwrap();
    let mut transcript = Transcript::of(dir.path());
    let serve = ["serve", "--site", "site", "--listen", "127.0.0.1:0"];
    transcript.run(&["serve", "--site", "nowhere"]);
    transcript.run(&["serve", "--site", "site", "--listen", "here"]);
    transcript.run(&["serve", "--site", "site", "--demo", "--listen", "0.0.0.0:0"]);
    transcript.run(&[&serve[..], &["--public-url", "go"]].concat());
    transcript.run(&[&serve[..], &["--allowed-host", "https://go.example.com"]].concat());
    for more in ["[server]\nlisten = \"here\"\n", "[stack.urls]\nweb = \"http://stagegate.localhost:3000\"\n"]
    {
        transcript.remark(more.replace('\n', " ").trim());
        std::fs::write(dir.path().join("stagegate.toml"), format!("{PLAIN}\n{more}")).unwrap();
        let args = if more.contains("listen") { &serve[..3] } else { &serve[..] };
        transcript.run(args);
    }
    transcript.compare("serve-refused");
}

#[test]
fn users_audit_log_and_retention() {
    let dir = stack(PLAIN);
    let mut transcript = Transcript::of(dir.path());
    transcript.run(&["user", "add", "ada", "--role", "qa", "--name", "Ada"]);
    transcript.run(&["user", "add", "ada"]);
    transcript.run(&["user", "add", ""]);
    transcript.run(&["user", "roles", "ada", "po", "admin"]);
    transcript.run(&["user", "roles", "ada", "king"]);
    transcript.run(&["user", "roles", "eve", "qa"]);
    transcript.run(&["user", "reset", "ada"]);
    transcript.run(&["user", "reset", "eve"]);
    let verified = transcript.run(&["verify"]);
    let head = verified.lines().find_map(|line| line.strip_prefix("Head: ")).unwrap();
    transcript.run(&["verify", "--expect", head]);
    let (_, hash) = head.split_once(':').unwrap();
    transcript.run(&["verify", "--expect", &hash.chars().rev().collect::<String>()]);
    transcript.run(&["verify", "--expect", "yesterday"]);
    transcript.run(&["prune", "--dry-run"]);
    transcript.run(&["env-copy", "1"]);
    transcript.run(&["monitoring", "--target", "127.0.0.1:9", "--out", "out"]);
    transcript.run(&["monitoring", "--target", "127.0.0.1:9", "--out", "out"]);
    transcript.run(&["monitoring", "--target", "127.0.0.1:8", "--out", "out"]);
    let config = format!("{PLAIN}\n[rollback]\nenv_copy_key = \"env.key\"\n[retention]\nruns = \"90d\"\n");
    std::fs::write(dir.path().join("stagegate.toml"), config).unwrap();
    transcript.remark("[rollback] env_copy_key = \"env.key\" [retention] runs = \"90d\"");
    transcript.run(&["prune", "--dry-run"]);
    transcript.run(&["env-copy", "1"]);
    assert!(!dir.path().join("env.key").exists(), "a read command must not create a key");
    transcript.compare("console");
}
