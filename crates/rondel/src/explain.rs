//! `rondel explain`: what a code of the access log means; or whom a client would be given now, and why.

use connection::Termination;
use serde_json::json;

use crate::admin::Reach;
use crate::foresee::foresee;
use crate::outcome::{Failed, Outcome, print, print_json};

#[derive(Debug, clap::Args)]
#[command(
    override_usage = "rondel explain [OPTIONS] CODE\n       rondel explain [OPTIONS] CLIENT LISTENER",
    after_help = "\
Examples:
  rondel explain SC
  rondel explain sD
  rondel explain -- --
  rondel explain 192.0.2.7 web

A CODE is looked up, and no process is asked; small letters and capitals differ, as in HAProxy's log. With a CLIENT and a LISTENER it
says whom a client at that address would be given if it came to the listener now, and what speaks for and against each backend.
Nothing is picked for it: the turn of the pool stays where it is. SHARE is what a backend is to have of all such connections."
)]
pub(crate) struct Arguments {
    /// Two letters that say how a connection ended, as the access log has them; or a client's IP address
    #[arg(value_name = "CODE|CLIENT")]
    what: String,
    /// The name of the listener that the client comes to
    #[arg(value_name = "LISTENER")]
    listener: Option<String>,
    #[command(flatten)]
    reach: Reach,
}

pub(crate) fn explain(arguments: &Arguments) -> Outcome {
    let Some(listener) = &arguments.listener else { return tell(&arguments.what, arguments.reach.json) };
    foresee(&arguments.reach, &arguments.what, listener)
}

fn tell(code: &str, as_json: bool) -> Outcome {
    let Some(Termination { code, text, check }) = Termination::of_code(code) else {
        let known: Vec<_> = Termination::ALL.iter().map(|known| known.code).collect();
        return Err(Failed::Usage(format!(
            "there is no code `{code}`; there are {}\n  \
             an address is explained with the name of the listener that it comes to",
            known.join(", ")
        )));
    };
    if as_json {
        return print_json(&json!({ "code": code, "text": text, "check": check }));
    }
    print(&format!("{code}: {text}\nWhat to check: {check}"))
}

#[cfg(test)]
mod tests {
    use super::tell;
    use crate::outcome::Failed;

    #[test]
    fn a_code_is_known_or_those_that_are_are_named() {
        let Err(Failed::Usage(message)) = tell("XX", false) else { panic!("it is known") };
        assert!(message.contains("there are --, CQ"), "{message}");
        for code in ["SC", "--"] {
            assert!(tell(code, true).is_ok(), "{code}");
        }
    }
}
