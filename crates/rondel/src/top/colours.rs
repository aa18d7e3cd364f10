//! Colours, unless `NO_COLOR` is set. Whatever a colour says is also said in words.

use ratatui::style::{Color, Modifier, Style};

#[derive(Clone, Copy, Debug)]
pub(super) enum Colours {
    On,
    /// As <https://no-color.org> asks for.
    Off,
}

impl Colours {
    /// From the value of `NO_COLOR`; an empty one is none.
    pub(super) fn of(no_color: Option<&std::ffi::OsStr>) -> Self {
        if no_color.is_some_and(|value| !value.is_empty()) { Self::Off } else { Self::On }
    }

    pub(super) fn good(self) -> Style {
        self.style(Color::Green)
    }

    pub(super) fn warning(self) -> Style {
        self.style(Color::Yellow)
    }

    pub(super) fn error(self) -> Style {
        self.style(Color::Red).add_modifier(Modifier::BOLD)
    }

    fn style(self, colour: Color) -> Style {
        match self {
            Self::On => Style::new().fg(colour),
            Self::Off => Style::new(),
        }
    }
}
