//! What is shown, and how keys and answers change it. It does no I/O and reads no clock.

use std::collections::BTreeSet;

use api::{BackendName, Connections, Query, Status};
use jiff::tz::TimeZone;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::top::clock::Clock;
use crate::top::colours::Colours;
use crate::top::problems::{Problem, problems};
use crate::top::rates::Rates;
use crate::top::rows::{Rows, Shown, Sort, Subject, connections, listeners, pools};

pub(super) struct View {
    pub(super) now: Status,
    /// The previous status of the same process, for rates.
    before: Option<Status>,
    /// Why there is no newer status.
    pub(super) error: Option<String>,
    pub(super) page: Page,
    /// Kept while another page is shown, as is the filter.
    pub(super) sort: Sort,
    pub(super) filter: String,
    /// Whether keys go to the filter.
    pub(super) is_typing: bool,
    /// The pools whose backends are shown; none before the first choice: all of them, if they fit.
    open: Option<BTreeSet<String>>,
    selected: Option<Subject>,
    /// The selection of the first page, while another one is shown.
    left: Option<Subject>,
    /// The row of the selection, should it disappear.
    pub(super) at: usize,
    /// Rows above the first one that is shown.
    pub(super) above: usize,
    /// How many rows there is room for, since the last drawing.
    pub(super) room: usize,
    zone: TimeZone,
    pub(super) colours: Colours,
}

/// What the screen shows below the problems.
#[derive(Clone, Debug)]
pub(super) enum Page {
    Pools,
    Listeners,
    Connections(Box<Asked>),
    Problems,
    Events,
    Help,
}

/// A query for connections, and its latest answer.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) query: Query,
    /// What it asks for, to be appended to `connections`.
    pub(super) of: String,
    pub(super) answer: Option<Result<Connections, String>>,
}

/// What a key asks of the rest of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Nothing,
    End,
    /// Ask for these connections from now on; `None` for none.
    Ask(Option<Query>),
}

impl View {
    pub(super) fn new(status: Status, zone: TimeZone, colours: Colours) -> Self {
        Self {
            now: status,
            before: None,
            error: None,
            page: Page::Pools,
            sort: Sort::Problems,
            filter: String::new(),
            is_typing: false,
            open: None,
            selected: None,
            left: None,
            at: 0,
            above: 0,
            room: 0,
            zone,
            colours,
        }
    }

    /// Shows a newer status.
    pub(super) fn update(&mut self, status: Status) {
        self.error = None;
        // The counters of a restarted process start at 0.
        let same = status.started_at.total_cmp(&self.now.started_at).is_eq();
        self.before = Some(std::mem::replace(&mut self.now, status)).filter(|_| same);
    }

    /// Shows the answer to a query, unless another one was made since.
    pub(super) fn answer(&mut self, query: &Query, answer: Result<Connections, String>) {
        if let Page::Connections(asked) = &mut self.page
            && asked.query == *query
        {
            asked.answer = Some(answer);
        }
    }

    pub(super) fn clock(&self) -> Clock {
        Clock::new(&self.now, self.zone.clone())
    }

    pub(super) fn rates(&self) -> Rates<'_> {
        Rates::new(&self.now, self.before.as_ref())
    }

    pub(super) fn problems(&self) -> Vec<Problem> {
        problems(&self.now, &self.clock())
    }

    /// The rows of the page; none for a page of text.
    pub(super) fn rows(&self) -> Rows {
        let filter = self.filter.to_lowercase();
        let is_open = |pool: &str| self.is_open(pool);
        let shown = Shown { filter: &filter, sort: self.sort, is_open: &is_open };
        match &self.page {
            Page::Pools => pools(&self.now, &self.rates(), &shown, self.colours),
            Page::Listeners => listeners(&self.now, &self.rates(), &shown, self.colours),
            Page::Connections(asked) => match &asked.answer {
                Some(Ok(answer)) => connections(&answer.connections, &filter),
                _ => Vec::new(),
            },
            Page::Problems | Page::Events | Page::Help => Vec::new(),
        }
    }

    fn is_open(&self, pool: &str) -> bool {
        let lines = || self.now.pools.iter().map(|pool| pool.backends.len() + 1).sum::<usize>();
        match &self.open {
            Some(open) => open.contains(pool),
            None => self.now.pools.len() == 1 || lines() <= self.room,
        }
    }

    /// Keeps the selection on its row, or on the same line if that has gone, and in sight.
    pub(super) fn settle(&mut self, rows: &Rows, room: usize) {
        let found =
            self.selected.as_ref().and_then(|subject| rows.iter().position(|(other, _)| other == subject));
        self.at = found.unwrap_or(self.at).min(rows.len().saturating_sub(1));
        self.selected =
            rows.get(self.at).map(|(subject, _)| subject.clone()).filter(|_| self.at > 0 || found.is_some());
        self.keep_in_sight(rows.len(), room);
    }

    fn keep_in_sight(&mut self, lines: usize, room: usize) {
        self.room = room;
        self.above = self.above.clamp((self.at + 1).saturating_sub(room.max(1)), self.at);
        self.above = self.above.min(lines.saturating_sub(room));
    }

    /// The same for a page of text, whose lines are not selected.
    pub(super) fn settle_text(&mut self, lines: usize, room: usize) {
        self.room = room;
        self.at = self.at.min(lines.saturating_sub(room));
        self.above = self.at;
    }

    pub(super) fn key(&mut self, key: KeyEvent) -> Effect {
        if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) {
            return Effect::End;
        }
        if self.is_typing {
            self.type_filter(key.code);
            return Effect::Nothing;
        }
        match key.code {
            KeyCode::Char('q') => return Effect::End,
            KeyCode::Esc | KeyCode::Backspace | KeyCode::Left if !matches!(self.page, Page::Pools) => {
                return self.open_page(Page::Pools);
            }
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Char('?' | 'h') => return self.open_page(Page::Help),
            KeyCode::Char('p') => return self.open_page(Page::Pools),
            KeyCode::Char('l') => return self.open_page(Page::Listeners),
            KeyCode::Char('e') => return self.open_page(Page::Events),
            KeyCode::Char('!') => return self.open_page(Page::Problems),
            KeyCode::Char('c') => return self.ask(self.selected_subject()),
            KeyCode::Char('C') => return self.ask(None),
            KeyCode::Char('/') => self.is_typing = true,
            KeyCode::Char('s') => self.sort = self.sort.next(),
            KeyCode::Char('f') => self.fold_all(),
            KeyCode::Enter | KeyCode::Char(' ') | KeyCode::Right | KeyCode::Left => return self.enter(),
            KeyCode::Up | KeyCode::Char('k') => self.select(-1),
            KeyCode::Down | KeyCode::Char('j') => self.select(1),
            KeyCode::PageUp => self.select(-self.page_length()),
            KeyCode::PageDown => self.select(self.page_length()),
            KeyCode::Home => self.select(isize::MIN),
            KeyCode::End => self.select(isize::MAX),
            _ => {}
        }
        Effect::Nothing
    }

    fn type_filter(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => self.is_typing = false,
            KeyCode::Esc => {
                self.is_typing = false;
                self.filter.clear();
            }
            KeyCode::Backspace => {
                self.filter.pop();
            }
            KeyCode::Char(character) if self.filter.len() < FILTER_BYTES_MAX => self.filter.push(character),
            _ => {}
        }
    }

    fn open_page(&mut self, page: Page) -> Effect {
        let query = match &page {
            Page::Connections(asked) => Some(asked.query.clone()),
            _ => None,
        };
        if matches!(self.page, Page::Pools) {
            self.left = self.selected.take();
        }
        (self.selected, self.at, self.above) = (None, 0, 0);
        if matches!(page, Page::Pools) {
            self.selected = self.left.take();
        }
        self.page = page;
        Effect::Ask(query)
    }

    /// Opens the connections of the subject, or all of them.
    fn ask(&mut self, of: Option<Subject>) -> Effect {
        let mut query = Query { limit: Some(CONNECTIONS_MAX), ..Query::default() };
        let of = match of {
            None | Some(Subject::Connection(_)) => String::new(),
            Some(Subject::Pool(pool)) => {
                query.pool = Some(pool.clone());
                format!(" of pool {pool}")
            }
            Some(Subject::Backend { pool, backend }) => {
                let name = format!("{pool}/{backend}");
                query.backend = BackendName::try_from(name.clone()).ok();
                format!(" to backend {name}")
            }
            Some(Subject::Listener(listener)) => {
                query.listener = Some(listener.clone());
                format!(" of listener {listener}")
            }
        };
        self.open_page(Page::Connections(Box::new(Asked { query, of, answer: None })))
    }

    /// Opens or closes a pool, or opens what a row is about.
    fn enter(&mut self) -> Effect {
        match self.selected_subject() {
            Some(Subject::Pool(pool)) => {
                let mut open = self.opened();
                if !open.remove(&pool) {
                    open.insert(pool);
                }
                self.open = Some(open);
                Effect::Nothing
            }
            Some(Subject::Connection(_)) | None => Effect::Nothing,
            subject => self.ask(subject),
        }
    }

    fn fold_all(&mut self) {
        let open = self.opened();
        let all = || self.now.pools.iter().map(|pool| pool.name.clone()).collect();
        self.open = Some(if open.is_empty() { all() } else { BTreeSet::new() });
    }

    /// The pools that are open now.
    fn opened(&self) -> BTreeSet<String> {
        let names = self.now.pools.iter().map(|pool| &pool.name);
        names.filter(|name| self.is_open(name)).cloned().collect()
    }

    fn selected_subject(&self) -> Option<Subject> {
        self.rows().into_iter().nth(self.at).map(|(subject, _)| subject)
    }

    fn select(&mut self, lines: isize) {
        self.at = self.at.saturating_add_signed(lines);
        let rows = self.rows();
        self.at = if rows.is_empty() { self.at } else { self.at.min(rows.len() - 1) };
        self.selected = rows.into_iter().nth(self.at).map(|(subject, _)| subject);
    }

    fn page_length(&self) -> isize {
        isize::try_from(self.room.saturating_sub(1).max(1)).unwrap_or(1)
    }
}

/// The most connections that are asked for, each second. The page says how many more there are.
pub(super) const CONNECTIONS_MAX: u32 = 500;

/// The longest filter. No name is longer.
const FILTER_BYTES_MAX: usize = 64;
