//! What the program says about itself: help, completions, the most common mistakes, summaries.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::case::Case;
use crate::project::{Answer, Project};

const AS_OF: &str = "2025-06-30";

const COMMANDS: [&str; 26] = [
    "init",
    "generate",
    "run",
    "watch",
    "plan",
    "ls",
    "show",
    "query",
    "releases",
    "runs",
    "diff",
    "rollback",
    "test",
    "validate",
    "rejects",
    "optimize",
    "vacuum",
    "customer",
    "customer add",
    "customer list",
    "customer show",
    "customer remove",
    "doctor",
    "completions",
    "",
    "help",
];

fn medallion(project: &Project, arguments: &[&str]) -> Answer {
    let mut command = Command::new(env!("CARGO_BIN_EXE_medallion"));
    // The width of help, where there is no terminal to ask.
    command.env("COLUMNS", "100").env("LINES", "50").current_dir(project.path(""));
    let output = command.args(arguments).stdin(Stdio::null()).output().unwrap();
    Answer {
        code: output.status.code(),
        output: String::from_utf8(output.stdout).unwrap(),
        messages: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The text without what differs from run to run.
fn stable(project: &Project, text: &str) -> String {
    let folder = std::fs::canonicalize(project.path("")).unwrap();
    let text =
        text.replace(folder.to_str().unwrap(), "[PROJECT]").replace(project.path("").to_str().unwrap(), "[PROJECT]/");
    let text = text.replace(env!("CARGO_MANIFEST_DIR"), "[REPOSITORY]").replace(env!("CARGO_PKG_VERSION"), "[VERSION]");
    let words: Vec<String> = text.split_inclusive([' ', '\n', ')']).map(stable_word).collect();
    let lines: Vec<String> = words.concat().lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// Run ids, times and seconds.
fn stable_word(word: &str) -> String {
    let text = word.trim_end_matches([' ', '\n', ')']);
    let end = &word[text.len()..];
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_run = text.len() == 25 && text.as_bytes()[8] == b'T' && text.as_bytes()[15] == b'Z' && digits(&text[..8]);
    let is_seconds = text.split_once('.').is_some_and(|(whole, rest)| digits(whole) && digits(rest));
    let is_time = text.len() == 20 && text.as_bytes()[10] == b'T' && text.ends_with('Z');
    match (is_run, is_time, is_seconds) {
        (true, _, _) => format!("[RUN]{end}"),
        (_, true, _) => format!("[TIME]{end}"),
        (_, _, true) => format!("[SECONDS]{end}"),
        _ => word.to_owned(),
    }
}

#[test]
fn every_command_explains_itself_with_examples() {
    let project = Project::new();
    let mut listed = BTreeSet::new();
    for command in COMMANDS.iter().filter(|command| **command != "help") {
        let words: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let answer = medallion(&project, &words).exits(0);
        assert!(answer.output.contains("Example"), "{command} has no example");
        let list = answer.output.split("\nCommands:\n").nth(1).unwrap_or_default();
        let names = list.lines().take_while(|line| line.starts_with("  ")).filter(|line| !line.starts_with("   "));
        let names = names.filter_map(|line| line.split_whitespace().next()).map(|name| format!("{command} {name}"));
        listed.extend(names.map(|name| name.trim().to_owned()).filter(|name| !name.ends_with("help")));
        let name = if command.is_empty() { "medallion" } else { command };
        insta::assert_snapshot!(format!("help_{}", name.replace(' ', "_")), stable(&project, &answer.output));
    }
    let known: BTreeSet<String> = COMMANDS.iter().map(|command| (*command).to_owned()).collect();
    let unknown: Vec<&String> = listed.difference(&known).collect();
    assert!(unknown.is_empty() && listed.len() == known.len() - 2, "{unknown:?}: add them to COMMANDS");
}

/// The examples are commands that there are, with options that there are.
#[test]
fn examples_are_understood() {
    let project = Project::new();
    let mut examples = 0;
    for command in COMMANDS.iter().filter(|command| **command != "help") {
        let words: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let help = medallion(&project, &words).exits(0).output;
        let below = help.split("Example").skip(1).flat_map(str::lines);
        for line in below.filter_map(|line| line.strip_prefix("  medallion ")) {
            let line = line.split("   ").next().unwrap().split(" >").next().unwrap();
            let arguments = words_of(line);
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain(["--no-such-option"]).collect();
            let answer = medallion(&project, &arguments).exits(2);
            assert!(answer.messages.contains("unexpected argument '--no-such-option'"), "{line}: {}", answer.messages);
            examples += 1;
        }
    }
    assert!(examples > 40, "{examples}");
}

/// Words as a shell takes them, apart from escapes.
fn words_of(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (' ', None) => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[test]
fn completions_are_scripts_of_their_shells() {
    let project = Project::new();
    // What checks a script's syntax without running it.
    for (shell, check) in [
        ("bash", Some(&["-n"][..])),
        ("zsh", Some(&["-n"])),
        ("fish", Some(&["--no-execute"])),
        ("elvish", None),
        ("powershell", None),
    ] {
        let script = medallion(&project, &["completions", shell]).exits(0).output;
        for word in ["select", "doctor", "keep-data", "stale-after"] {
            assert!(script.contains(word), "{shell} does not know {word}");
        }
        let Some(check) = check else { continue };
        let child = Command::new(shell).args(check).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
        // Not every machine has every shell; bash is on all.
        let Ok(mut child) = child else {
            assert_ne!(shell, "bash");
            continue;
        };
        child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{shell}: {}", String::from_utf8_lossy(&output.stderr));
    }
    medallion(&project, &["completions", "bsh"]).exits(2).says(&["bsh", "bash"]);
}

#[test]
fn common_mistakes_are_answered_as_before() {
    let project = Case::published("star");
    project.write("customers/typo.toml", "source = \"in\"\ntimezon = \"UTC\"\n");
    project.add_customer("empty", &project.path("customers"), "");
    project.add_customer("lost", &project.path("nowhere"), "");
    let mut answers = String::new();
    for arguments in [
        &["rum"][..],
        &["run"],
        &["run", "-c", "nobody"],
        &["run", "-c", "typo"],
        &["run", "-c", "../star"],
        &["run", "-c", "empty"],
        &["run", "-c", "lost"],
        &["run", "-c", "star", "--as-of", "30.06.2025"],
        &["run", "-c", "star", "--memory-limit", "much"],
        &["run", "-c", "star", "--pipeline", "totra"],
        &["run", "-c", "star", "-s", "dim_usr"],
        &["run", "-c", "star", "-s", "dim_user,"],
        &["run", "-c", "star", "-s", "lyer:gold"],
        &["run", "-c", "star", "-s", "dim_user", "--exclude", "dim_*"],
        &["run", "-c", "star", "--accept-shrink", "scrom"],
        &["ls", "-c", "nobody"],
        &["show", "-c", "star", "gold.dim_usr"],
        &["query", "-c", "star", "SELECT full_nam FROM gold.dim_user"],
        &["query", "-c", "star", "DROP TABLE gold.dim_user"],
        &["rollback", "-c", "star", "--to", "7"],
        &["rejects", "-c", "star", "silver.usrs"],
        &["customer", "remove", "star"],
        &["customer", "add", "star", "--source", "."],
        &["completions", "tcsh"],
    ] {
        let answer = medallion(&project, arguments);
        assert_eq!(answer.output, "", "{arguments:?}");
        let (command, code) = (arguments.join(" "), answer.code.unwrap());
        answers.push_str(&format!("$ medallion {command}\n{}\n[{code}]\n\n", answer.messages.trim_end()));
    }
    insta::assert_snapshot!("mistakes", stable(&project, &answers));
}

#[test]
fn summaries_are_as_before() {
    let project = Case::read("star").project();
    let mut answers = String::new();
    for arguments in [
        &["run", "-c", "star", "--as-of", AS_OF][..],
        &["run", "-c", "star", "--as-of", AS_OF],
        &["run", "-c", "star", "--as-of", AS_OF, "-s", "layer:gold", "--full-refresh"],
        &["plan", "-c", "star", "--as-of", AS_OF],
        &["plan", "-c", "star", "--as-of", AS_OF, "-s", "dim_user", "--full-refresh"],
        &["test", "-c", "star", "-s", "dim_user"],
        &["ls", "-c", "star", "-s", "tag:hierarchy"],
        &["releases", "-c", "star"],
        &["customer", "show", "star"],
        &["customer", "list"],
        &["doctor"],
    ] {
        let answer = medallion(&project, arguments);
        let (command, code) = (arguments.join(" "), answer.code.unwrap());
        answers.push_str(&format!("$ medallion {command}\n{}[{code}]\n\n", answer.output));
    }
    // Columns are as wide as figures happen to be.
    let narrow = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let answers: Vec<String> = stable(&project, &answers).lines().map(narrow).collect();
    let answers = answers.join("\n");
    insta::assert_snapshot!("summaries", answers);
}
