//! What a person sees while the demo runs: three bars and the last lines of the journal.

use std::sync::Arc;

use aftersign_sandbox::Progress;
use aftersign_store::Store;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::DemoArgs;
use super::audit::State;
use super::stage::Stage;

/// Lines of the journal shown at once.
const EVENTS_SHOWN: usize = 6;

/// The screen of the demo; silent with `--json`.
pub(super) struct Display {
    bars: MultiProgress,
    lives: ProgressBar,
    callbacks: ProgressBar,
    archived: ProgressBar,
    disposed: ProgressBar,
    events: Vec<ProgressBar>,
    store: Option<Arc<dyn Store>>,
}

impl Display {
    pub(super) fn new(args: &DemoArgs, stage: &Stage) -> Self {
        let bars = MultiProgress::new();
        if args.json {
            bars.set_draw_target(ProgressDrawTarget::hidden());
        }
        let style = |template: &str| {
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
        };
        let bar = |name: &'static str| {
            let bar = bars.add(ProgressBar::new(0));
            bar.set_style(style("{prefix:>22} {bar:40} {pos}/{len}"));
            bar.set_prefix(name);
            bar
        };
        let (lives, callbacks) = (bar("envelopes ended"), bar("callbacks acknowledged"));
        let (archived, disposed) = (bar("archived, verified"), bar("removed at platform"));
        let events = (0..EVENTS_SHOWN)
            .map(|_| {
                let line = bars.add(ProgressBar::new_spinner());
                line.set_style(style("  {wide_msg}"));
                line
            })
            .collect();
        let store = if args.json { None } else { stage.open_store().ok() };
        Self { bars, lives, callbacks, archived, disposed, events, store }
    }

    pub(super) async fn show(&mut self, progress: &Progress, state: &State) {
        let set = |bar: &ProgressBar, position, length| {
            bar.set_length(length);
            bar.set_position(position);
        };
        set(&self.lives, progress.finished, progress.planned);
        set(&self.callbacks, progress.callbacks_acknowledged, progress.callbacks_sent);
        set(&self.archived, state.archived, state.due);
        set(&self.disposed, state.disposed, state.disposable);
        if let Some(store) = &self.store {
            let lines = Stage::last_events(&**store, EVENTS_SHOWN).await;
            for (bar, line) in self.events.iter().zip(lines) {
                bar.set_message(line);
            }
        }
    }

    pub(super) fn finish(&self) {
        for bar in [&self.lives, &self.callbacks, &self.archived, &self.disposed] {
            bar.abandon();
        }
        for line in &self.events {
            line.finish_and_clear();
        }
        // The bars stand; a screen that cannot be drawn to is no failure of the demo.
        let _ = self.bars.println("");
    }
}
