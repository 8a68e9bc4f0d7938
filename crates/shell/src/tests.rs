use std::process::Command;

use proptest::prelude::*;

use super::*;

/// Words as their text, in `«»` if they are not certain; other tokens as signs.
fn shown(text: &str) -> String {
    let Some(tokens) = tokens(text) else { return "incomplete".to_owned() };
    let sign = |token: &Token| match token {
        Token::Word(Word { text, certain: true }, _) => text.clone(),
        Token::Word(Word { text, .. }, _) => format!("«{text}»"),
        Token::Separator => ";".to_owned(),
        Token::Open => "(".to_owned(),
        Token::Close => ")".to_owned(),
        Token::Redirect { writes: true } => ">".to_owned(),
        Token::Redirect { writes: false } => "<".to_owned(),
        Token::HereDocument => "<<".to_owned(),
    };
    let mut signs: Vec<String> = tokens.iter().map(sign).collect();
    // The end of the last line.
    assert_eq!(signs.pop().as_deref(), Some(";"), "{text}");
    signs.join(" ")
}

#[test]
fn quotes_are_removed() {
    for (text, seen) in [
        (r#"a'b c'"d e"\ f"#, "ab cd e f"),
        (r#"'' "" x"#, "  x"),
        (r#""\$\"\\\`\n" '\n' \n"#, r#"$"\`\n \n n"#),
        ("a\\\nb 'c\nd' \"e\\\nf\"", "ab c\nd ef"),
        ("a#b #c", "a#b"),
        ("a\\\n#b", "a#b"),
        ("''#b", "#b"),
        ("a\u{a0}b c", "a\u{a0}b c"),
        ("a 'x\ny' if z; b", "a x\ny if z ; b"),
        ("echo $(date) for you; b", "echo «$(date)» for you ; b"),
        ("curl $(c)#d; b", "curl «$(c)#d» ; b"),
        ("echo `date `#b; c", "echo «`date `#b» ; c"),
    ] {
        assert_eq!(shown(text), seen, "{text}");
    }
}

#[test]
fn expansions_are_one_word_that_is_not_certain() {
    for text in [
        "$A",
        "$1",
        "$$",
        "${A:-b c}",
        "${A:-\"}\"}",
        "$(cat f | wc)",
        "$(echo ')' # )\n)",
        "\"$(echo \")\" | wc)\"",
        "`cat f | wc`",
        "`echo '`",
        "`echo \\`date\\` # x`",
        "\"a `date`\"",
        "$((1 << (2)))",
        "a$(b $(c) `d`)e",
        "<(sort f)",
        "$'it\\'s'",
        "$\"text\"",
        "*.js",
        "a?",
        "~/x",
        "[ab]",
    ] {
        let tokens = tokens(text).unwrap();
        let [Token::Word(word, 0), Token::Separator] = tokens.as_slice() else {
            panic!("{text}: {tokens:?}");
        };
        assert!(!word.certain, "{text}");
    }
    assert_eq!(shown("[ a = b ] && echo a$ '$X' \"$\""), "[ a = b ] ; ; echo a$ $X $");
    assert_eq!(shown("((a < b)) && c"), "«((a < b))» ; ; c");
}

#[test]
fn redirections_name_their_file() {
    for (text, seen) in [
        ("a >f 2>>g <h", "a > f > g < h"),
        ("a 2>&1 >&- b", "a b"),
        ("a2>f", "a2 > f"),
        ("a &>f >&g >|h <>i", "a > f > g > h > i"),
        ("cat <<< 'x y' z", "cat < x y z"),
        ("cat <<E | wc\n$(x\nE\nls", "cat << ; wc ; ls"),
        ("cat <<-'E'\n\tE", "cat <<"),
        ("a > >(tee f)", "a > «>(tee f)»"),
        ("(cd x && make) & b", "( cd x ; ; make ) ; b"),
        ("f() { a; }", "f ( ) { a ; }"),
    ] {
        assert_eq!(shown(text), seen, "{text}");
    }
}

#[test]
fn a_text_that_a_shell_refuses_has_no_tokens() {
    for text in
        ["'a", "\"a", "`a", "$(a", "${a", "a |", "a &&", "a |&", "(a", "if a; then b", "cat <<E\nx", "$'a\\'"]
    {
        assert_eq!(tokens(text), None, "{text}");
    }
    for text in ["", "a \\", "a &", "a; if b; then c; fi", "case a in b) c;; esac"] {
        assert!(tokens(text).is_some(), "{text}");
    }
}

#[test]
fn lines_are_those_where_words_begin() {
    let lines = |text: &str| -> Vec<usize> {
        let tokens = tokens(text).unwrap();
        tokens.iter().filter_map(|t| if let Token::Word(_, line) = t { Some(*line) } else { None }).collect()
    };
    assert_eq!(lines("a 'b\nc' d\ne\\\nf\n\ng"), [0, 0, 1, 2, 5]);
    assert_eq!(lines("cat <<E\nx\nE\nls"), [0, 3]);
}

/// The words that bash makes of a text; `None` if it refuses it.
fn words_of_bash(text: &str) -> Option<Vec<String>> {
    let script = format!("set -- {text}\nfor word; do printf '%s\\0' \"$word\"; done");
    let output = Command::new("bash").args(["--norc", "-c", &script]).output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    output.status.success().then(|| out.split_terminator('\0').map(str::to_owned).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn words_are_those_of_bash(text in "[ab '\"\\\\$#`]{0,16}[ab '\"#]") {
        let certain = tokens(&text).map(|tokens| {
            let word = |token| match token {
                Token::Word(Word { text, certain: true }, _) => Some(text),
                _ => None,
            };
            let count = tokens.len() - 1;
            tokens.into_iter().take(count).map(word).collect::<Option<Vec<String>>>()
        });
        match certain {
            Some(Some(words)) => prop_assert_eq!(Some(words), words_of_bash(&text)),
            // Expansions are not evaluated.
            Some(None) => {}
            None => prop_assert_eq!(None, words_of_bash(&text)),
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "[a=é '\"\\\\$#`(){}<>|&;!\n\t*-]{0,60}") {
        let _ = tokens(&text);
    }
}
