//! Noting callbacks down.

use aftersign_core::callback::{NotificationKind, RepeatMeans};

use super::{Place, account, all, at, callback, news, pace};
use crate::{CallbackFilter, NewsSource, Noted};

/// The first one keeps its row; repeats are counted there.
pub async fn a_repeat_is_counted_on_the_first_ones_row(place: &dyn Place) {
    let store = place.open(Vec::new()).await;
    let first = callback(place, "e1", "event", 1);
    assert_eq!(store.note_down(first.clone()).await.unwrap(), Noted::First);
    for second in [30, 20] {
        let mut repeat = callback(place, "e1", "event", second);
        repeat.key = first.key;
        assert_eq!(store.note_down(repeat).await.unwrap(), Noted::Repeat);
    }
    let mut elsewhere = callback(place, "e1", "event", 1);
    elsewhere.account = account("sales");
    assert_eq!(store.note_down(elsewhere).await.unwrap(), Noted::First, "keys are of one account");

    let stored = store.callback(first.id).await.unwrap().unwrap();
    assert_eq!((stored.row.repeats, stored.row.last_repeat_at), (2, Some(at(30))));
    assert_eq!((stored.row.received_at, stored.row.envelope), (first.received_at, first.envelope));
    assert_eq!((stored.row.platform.as_str(), stored.row.channel), ("test-sign", first.channel));
    assert_eq!((stored.body, stored.headers), (first.body, first.headers));
    assert_eq!((stored.method, stored.query, stored.remote), (first.method, first.query, first.remote));
    let counts = store.overview().await.unwrap();
    assert_eq!((counts.callbacks, counts.repeats, counts.quarantined), (2, 2, 0));
    store.close().await.unwrap();
}

/// However many come at once.
pub async fn concurrent_notes_of_one_key_give_exactly_one_first(place: &dyn Place) {
    let store = place.open(Vec::new()).await;
    let mut tasks = tokio::task::JoinSet::new();
    for second in 0..200 {
        let mut one = callback(place, "e1", "storm", second);
        one.key = callback(place, "e1", "storm", 0).key;
        let store = store.clone();
        tasks.spawn(async move { store.note_down(one).await.unwrap() });
    }
    let noted = tasks.join_all().await;
    assert_eq!(noted.iter().filter(|noted| **noted == Noted::First).count(), 1);
    let listing = store.callbacks(&CallbackFilter::default(), &all()).await.unwrap();
    assert_eq!(listing.rows.iter().map(|row| row.repeats).collect::<Vec<_>>(), [199]);
    let counts = store.overview().await.unwrap();
    assert_eq!((counts.callbacks, counts.repeats), (1, 199));
    store.close().await.unwrap();
}

/// `Ok` means durable.
pub async fn what_was_noted_survives_reopening(place: &dyn Place) {
    let store = place.open(Vec::new()).await;
    let callback = callback(place, "e1", "event", 1);
    store.note_down(callback.clone()).await.unwrap();
    store.close().await.unwrap();
    assert!(store.probe().await.is_err(), "a closed store says so");
    drop(store);
    let store = place.open(Vec::new()).await;
    assert_eq!(store.note_down(callback.clone()).await.unwrap(), Noted::Repeat);
    assert_eq!(store.unprojected(10).await.unwrap()[0].row.id, callback.id);
    store.close().await.unwrap();
}

/// A key that names one event says nothing new when it comes again.
pub async fn only_a_repeat_that_may_be_news_is_handed_to_the_projector_again(place: &dyn Place) {
    let store = place.open(Vec::new()).await;
    for (event, means, waiting) in [("one", RepeatMeans::Nothing, 0), ("many", RepeatMeans::PerhapsNews, 1)] {
        let mut callback = callback(place, event, event, 1);
        callback.repeat_means = means;
        store.note_down(callback.clone()).await.unwrap();
        let source = NewsSource::Callback(callback.id);
        let heard = news(source, "hr", event, NotificationKind::Sent);
        store.announce(vec![heard], at(2), pace()).await.unwrap();
        assert_eq!(store.unprojected(10).await.unwrap().len(), 0);
        assert_eq!(store.note_down(callback.clone()).await.unwrap(), Noted::Repeat);
        assert_eq!(store.unprojected(10).await.unwrap().len(), waiting);
    }
    store.close().await.unwrap();
}

/// Readiness is a real commit; a watcher is told of it.
pub async fn a_probe_commits_and_every_commit_is_watched(place: &dyn Place) {
    let store = place.open(Vec::new()).await;
    let mut watch = store.watch();
    watch.mark_unchanged();
    store.probe().await.unwrap();
    assert!(watch.has_changed().unwrap());
    store.close().await.unwrap();
}
