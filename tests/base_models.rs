//! Random bytes through the bodies of the fuzz targets that compare something with its model: a little of what the
//! fuzzer does, in every run of the tests. What fails here is worth a named file in `fuzz/corpus`.

use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any, proptest};

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_ring_is_as_its_model(data in vec(any::<u8>(), 0..600)) {
        hydrant::fuzz::ring(&data);
    }

    #[test]
    fn the_wheel_is_as_its_model(data in vec(any::<u8>(), 0..600)) {
        hydrant::fuzz::wheel(&data);
    }

    #[test]
    fn records_are_as_the_naive_splitter_tells_them(data in vec(any::<u8>(), 0..600)) {
        hydrant::fuzz::framing(&data);
    }

    #[test]
    fn messages_are_as_the_naive_reader_tells_them(data in vec(any::<u8>(), 0..600)) {
        hydrant::fuzz::mailbox(&data);
    }

    #[test]
    fn frames_mean_the_same_however_they_come(data in vec(any::<u8>(), 0..600)) {
        hydrant::fuzz::websocket(&data);
    }

    #[test]
    fn heads_mean_the_same_however_they_come(data in vec(any::<u8>(), 0..600)) {
        hydrant::fuzz::http1(&data);
    }
}
