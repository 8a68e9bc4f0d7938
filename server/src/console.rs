//! Output of commands. When the reader closes the pipe (`… | head`), the command continues without an error.
//! Characters that hide or reorder text become visible, as on the pages.

use std::io::{self, BufRead as _, ErrorKind, Write};

use domain::visible::{Kind, visible};

/// Prints a text for people, and a line break. Fails when it cannot be written, unless the reader has closed the pipe.
pub fn line(text: impl std::fmt::Display) -> io::Result<()> {
    let text = text.to_string();
    bytes(format!("{}\n", visible(&text, Kind::Prose)).as_bytes())
}

/// Prints a JSON text, and a line break: hidden characters in it are written with their numbers, which means the same.
pub fn json(text: &str) -> io::Result<()> {
    let mut out = String::with_capacity(text.len() + 1);
    for c in text.chars() {
        if domain::visible::is_hidden(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    out.push('\n');
    bytes(out.as_bytes())
}

/// Prints bytes as they are.
pub fn bytes(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Asks a question and returns whether the answer is `yes`. No answer means no.
pub fn confirmed(question: &str) -> io::Result<bool> {
    bytes(visible(question, Kind::Prose).as_bytes())?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}

/// Prints an error. A failure to print it is ignored: there is no other place to report it.
pub fn complain(text: impl std::fmt::Display) {
    let text = text.to_string();
    let _ = writeln!(io::stderr(), "{}", visible(&text, Kind::Prose));
}
