//! `rondel explain`: what a code of the access log or a reason to end means; or whom a client would be given now, and why.

use connection::{CloseReason, Termination};
use serde_json::{Value, json};

use crate::admin::Reach;
use crate::outcome::{Failed, Outcome, print, print_json};
use crate::route::route;

#[derive(Debug, clap::Args)]
#[command(
    override_usage = "rondel explain [OPTIONS] CODE|REASON\n       rondel explain [OPTIONS] CLIENT LISTENER",
    after_help = "\
Examples:
  rondel explain SC
  rondel explain sD
  rondel explain -- --
  rondel explain no_resources
  rondel explain 192.0.2.7 web

A CODE or a REASON is looked up, and no process is asked; small letters and capitals differ, as in HAProxy's log.
With a CLIENT and a LISTENER it says whom a client at that address would be given if it came to the listener now, and what speaks for and against each backend.
Nothing is picked for it: the turn of the pool stays where it is. SHARE is what a backend is to have of all such connections."
)]
pub(crate) struct Arguments {
    /// Two letters that say how a connection ended, as the access log has them; the reason, as metrics have it; or a client's IP address
    #[arg(value_name = "CODE|REASON|CLIENT")]
    what: String,
    /// The name of the listener that the client comes to
    #[arg(value_name = "LISTENER")]
    listener: Option<String>,
    #[command(flatten)]
    reach: Reach,
}

pub(crate) fn explain(arguments: &Arguments) -> Outcome {
    let Some(listener) = &arguments.listener else { return tell(&arguments.what, arguments.reach.json) };
    route(&arguments.reach, &arguments.what, listener)
}

fn tell(word: &str, as_json: bool) -> Outcome {
    if let Some(reason) = CloseReason::ALL.into_iter().find(|reason| reason.name() == word) {
        return tell_reason(reason, as_json);
    }
    let Some(termination) = Termination::of_code(word) else {
        let codes = Termination::ALL.iter().map(|known| known.code).collect::<Vec<_>>().join(", ");
        let reasons = CloseReason::ALL.map(CloseReason::name).join(", ");
        return Err(Failed::Usage(format!(
            "`{word}` is neither a code nor a reason\n  codes: {codes}\n  reasons: {reasons}\n  \
             an address is explained with the name of the listener that it comes to",
        )));
    };
    if as_json { print_json(&to_json(termination)) } else { print(&to_text(termination)) }
}

fn tell_reason(reason: CloseReason, as_json: bool) -> Outcome {
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
    use super::tell;
    use crate::outcome::Failed;

    #[test]
    fn a_word_is_known_or_those_that_are_are_named() {
        let Err(Failed::Usage(message)) = tell("XX", false) else { panic!("it is known") };
        assert!(message.contains("codes: --, CQ") && message.contains("reasons: done, "), "{message}");
        for word in ["SC", "--", "no_resources"] {
            assert!(tell(word, true).is_ok(), "{word}");
        }
    }
}
