//! What a person sees while the scenario runs: a line for everything that happens, and four counters below.

use std::sync::{Mutex, PoisonError};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::demo::audit::State;

/// Tells the story, and remembers every word that went out.
pub(super) struct Teller {
    bars: MultiProgress,
    sent: ProgressBar,
    completed: ProgressBar,
    archived: ProgressBar,
    disposed: ProgressBar,
    is_quiet: bool,
    told: Mutex<String>,
}

impl Teller {
    /// A teller; a quiet one says nothing but the result.
    pub(super) fn new(is_quiet: bool) -> Self {
        let bars = MultiProgress::new();
        if is_quiet {
            bars.set_draw_target(ProgressDrawTarget::hidden());
        }
        let style = ProgressStyle::with_template("{prefix:>22} {bar:40} {pos}/{len}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = |name: &'static str| {
            let bar = bars.add(ProgressBar::new(0));
            bar.set_style(style.clone());
            bar.set_prefix(name);
            bar
        };
        Self {
            sent: bar("drafts sent"),
            completed: bar("envelopes completed"),
            archived: bar("archived, verified"),
            disposed: bar("removed at platform"),
            bars,
            is_quiet,
            told: Mutex::new(String::new()),
        }
    }

    /// Says a sentence.
    pub(super) fn say(&self, line: &str) {
        self.remember(line);
        if !self.is_quiet {
            self.bars.suspend(|| println!("{line}"));
        }
    }

    /// Says what is not as it should be.
    pub(super) fn complain(&self, line: &str) {
        self.remember(line);
        self.bars.suspend(|| eprintln!("{line}"));
    }

    /// Gives the result for machines.
    pub(super) fn result(&self, json: &str) {
        self.remember(json);
        println!("{json}");
    }

    /// Moves the counters.
    pub(super) fn show(&self, drafts: (u64, u64), envelopes: u64, state: &State) {
        let set = |bar: &ProgressBar, position, length| {
            bar.set_length(length);
            bar.set_position(position);
        };
        set(&self.sent, drafts.0, drafts.1);
        set(&self.completed, state.due, envelopes);
        set(&self.archived, state.archived, state.due);
        set(&self.disposed, state.disposed, state.disposable);
    }

    /// The counters stand; what follows is told below them.
    pub(super) fn finish(&self) {
        for bar in [&self.sent, &self.completed, &self.archived, &self.disposed] {
            bar.abandon();
        }
    }

    /// Everything that was told so far.
    pub(super) fn told(&self) -> String {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn remember(&self, line: &str) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.push_str(line);
        told.push('\n');
    }
}
