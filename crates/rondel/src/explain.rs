//! `rondel explain`: the meaning of a code of the access log, or of a close reason.

use std::net::IpAddr;

use connection::{CloseReason, Termination};
use serde_json::{Value, json};

use crate::completions::names;
use crate::outcome::{Failed, Outcome, print, print_json};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rondel explain SC
  rondel explain sD
  rondel explain -- --
  rondel explain no_resources

The command needs no running rondel. Case matters, as in HAProxy's log.")]
pub(crate) struct Arguments {
    /// A two-letter code of the access log, or a close reason of the metrics
    #[arg(value_name = "CODE|REASON", add = names::codes_and_reasons())]
    word: String,
    /// Print the explanation as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn explain(arguments: &Arguments) -> Outcome {
    explain_word(&arguments.word, arguments.json)
}

fn explain_word(word: &str, as_json: bool) -> Outcome {
    if let Some(reason) = CloseReason::ALL.into_iter().find(|reason| reason.name() == word) {
        return explain_reason(reason, as_json);
    }
    let Some(termination) = Termination::of_code(word) else {
        let codes = Termination::ALL.iter().map(|known| known.code).collect::<Vec<_>>().join(", ");
        let reasons = CloseReason::ALL.map(CloseReason::name).join(", ");
        let hint = match word.parse::<IpAddr>() {
            Ok(_) => format!("\n  `rondel route {word} LISTENER` shows which backend a client gets"),
            Err(_) => String::new(),
        };
        return Err(Failed::Usage(format!(
            "`{word}` is neither a code nor a close reason\n  codes: {codes}\n  reasons: {reasons}{hint}",
        )));
    };
    if as_json { print_json(&to_json(termination)) } else { print(&to_text(termination)) }
}

fn explain_reason(reason: CloseReason, as_json: bool) -> Outcome {
    let (name, meaning) = (reason.name(), reason.meaning());
    let codes = Termination::of_reason(reason);
    if as_json {
        let codes: Vec<Value> = codes.map(to_json).collect();
        return print_json(&json!({ "reason": name, "meaning": meaning, "codes": codes }));
    }
    let codes: Vec<String> = codes.map(to_text).collect();
    print(&format!("{name}: {meaning}\n\nIn the access log:\n\n{}", codes.join("\n\n")))
}

fn to_text(Termination { code, text, check }: &Termination) -> String {
    format!("{code}: {text}\nWhat to check: {check}")
}

fn to_json(Termination { code, text, check }: &Termination) -> Value {
    json!({ "code": code, "text": text, "check": check })
}

#[cfg(test)]
mod tests {
    use super::explain_word;
    use crate::outcome::Failed;

    #[test]
    fn an_unknown_word_is_refused_with_the_known_ones() {
        let Err(Failed::Usage(message)) = explain_word("XX", false) else { panic!("the word is known") };
        assert!(message.contains("codes: --, PR") && message.contains("reasons: done, "), "{message}");
        for word in ["SC", "--", "no_resources"] {
            assert!(explain_word(word, true).is_ok(), "{word}");
        }
    }
}
