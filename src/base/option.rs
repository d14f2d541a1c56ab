//! What an option is, and the raw settings that were given for options.
//!
//! Every role has one static table of `Opt`s. Flags, their help and their checks come out of it, so a name, a default
//! or a limit stands in one place. `Values` gathers what was given, from wherever it came, and its getters read each
//! value by its option's kind: a mistake names the flag, what was given and what would do.

mod error;

use std::path::PathBuf;
use std::time::Duration;

pub use error::{End, Limit, OptionError};

use super::access::{Access, Net};
use super::backoff::Retry;
use super::units::{UnitError, is_unseen, parse_count, parse_duration, parse_size};

/// One option of a role, or of all of them.
#[derive(Debug)]
pub struct Opt {
    /// With its dashes: `--retry`.
    pub flag: &'static str,
    /// One dash and one letter. Only switches have one.
    pub short: Option<&'static str>,
    /// What its value is. The limits stand there too.
    pub kind: Kind,
    /// What stands for its value in the help: `TIME`. Empty for a switch, and for a choice, which shows its words.
    pub unit: &'static str,
    /// What holds when it is not given.
    pub preset: Preset,
    /// Several of them add up; otherwise the last one wins.
    pub many: bool,
    /// May change while the role runs.
    pub live: bool,
    /// The heading that it stands under in the help.
    pub group: &'static str,
    /// One sentence, without its first capital and its full stop.
    pub help: &'static str,
}

impl Opt {
    /// A switch that is off, to build others from.
    pub const SWITCH: Self = Self {
        flag: "",
        short: None,
        kind: Kind::Switch,
        unit: "",
        preset: Preset::None,
        many: false,
        live: false,
        group: "",
        help: "",
    };

    /// Its name where no dashes are: `retry`.
    pub fn name(&self) -> &'static str {
        self.flag.trim_start_matches('-')
    }

    /// Whether it stands alone, without a value.
    pub fn is_switch(&self) -> bool {
        matches!(self.kind, Kind::Switch)
    }

    /// Reads a value of this option, and holds it against the option's limits.
    pub fn read(&self, given: &str) -> Result<Value, OptionError> {
        let flag = self.flag;
        if given.is_empty() {
            return Err(OptionError::NoValue { flag });
        }
        let number = |error| OptionError::Number {
            flag,
            error,
            off: self.kind.has_off(),
        };
        let range = |end, low, high| OptionError::Range {
            flag,
            given: given.to_owned(),
            end,
            low,
            high,
        };
        match self.kind {
            Kind::Switch => Err(OptionError::TakesNoValue { flag }),
            Kind::Text { max } | Kind::Path { max } => self.read_text(given, max),
            Kind::Choice(words) => match words.iter().find(|&&word| word == given) {
                Some(word) => Ok(Value::Choice(word)),
                None => Err(OptionError::Choice {
                    flag,
                    given: given.to_owned(),
                    words,
                }),
            },
            Kind::Wait { min, max } => {
                let wait = read_wait(flag, given)?;
                within((wait.min, wait.max), (min, max))
                    .map_err(|end| range(end, Limit::Time(min), Limit::Time(max)))?;
                Ok(Value::Wait(wait))
            }
            Kind::Networks => given
                .split(',')
                .map(str::parse)
                .collect::<Result<_, _>>()
                .map(Value::Networks)
                .map_err(|error| OptionError::Network { flag, error }),
            _ if given == "off" && self.kind.has_off() => Ok(Value::Off),
            Kind::TimeOrSize { time, size } => self.read_time_or_size(given, time, size),
            Kind::Duration { min, max, off } => match parse_duration(given).map_err(number)? {
                Duration::ZERO if off => Ok(Value::Off),
                time => within((time, time), (min, max))
                    .map(|()| Value::Duration(time))
                    .map_err(|end| range(end, Limit::Time(min), Limit::Time(max))),
            },
            Kind::Size { min, max, off } => match parse_size(given).map_err(number)? {
                0 if off => Ok(Value::Off),
                size => within((size, size), (min, max))
                    .map(|()| Value::Amount(size))
                    .map_err(|end| range(end, Limit::Bytes(min), Limit::Bytes(max))),
            },
            Kind::Count { min, max, off } => match parse_count(given).map_err(number)? {
                0 if off => Ok(Value::Off),
                count => within((count, count), (min, max))
                    .map(|()| Value::Amount(count))
                    .map_err(|end| range(end, Limit::Count(min), Limit::Count(max))),
            },
        }
    }

    fn read_text(&self, given: &str, max: usize) -> Result<Value, OptionError> {
        let flag = self.flag;
        if given.len() > max {
            return Err(OptionError::TooLong {
                flag,
                len: given.len(),
                max,
            });
        }
        if given.contains(char::is_control) {
            return Err(OptionError::Control {
                flag,
                given: given.to_owned(),
            });
        }
        if !matches!(self.kind, Kind::Path { .. }) && given.contains(is_unseen) {
            return Err(OptionError::Unseen {
                flag,
                given: given.to_owned(),
            });
        }
        Ok(Value::Text(given.to_owned()))
    }

    /// The unit tells a time from a size, so a bare number is neither; `4m` is minutes, `4M` is bytes.
    fn read_time_or_size(
        &self,
        given: &str,
        time: (Duration, Duration),
        size: (u64, u64),
    ) -> Result<Value, OptionError> {
        let flag = self.flag;
        if given != "0" && given.ends_with(|c: char| c.is_ascii_digit()) {
            return Err(OptionError::NoUnit {
                flag,
                given: given.to_owned(),
            });
        }
        let kind = match given.ends_with(['K', 'k', 'M', 'G', 'g']) {
            true => Kind::Size {
                min: size.0,
                max: size.1,
                off: true,
            },
            false => Kind::Duration {
                min: time.0,
                max: time.1,
                off: true,
            },
        };
        Self { kind, ..*self }
            .read(given)
            .map_err(|error| match error {
                OptionError::Number {
                    error: UnitError::NotDuration(given) | UnitError::NotSize(given),
                    ..
                } => OptionError::NotTimeOrSize { flag, given },
                other => other,
            })
    }
}

/// What an option's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No value: it is there or it isn't.
    Switch,
    /// A word for people, without control characters.
    Text {
        /// Its longest length in bytes.
        max: usize,
    },
    /// A file's path.
    Path {
        /// Its longest length in bytes.
        max: usize,
    },
    /// One of these words.
    Choice(&'static [&'static str]),
    /// `S` or `MIN..MAX`: the waits between attempts.
    Wait {
        /// The shortest.
        min: Duration,
        /// The longest.
        max: Duration,
    },
    /// A length of time.
    Duration {
        /// The shortest.
        min: Duration,
        /// The longest.
        max: Duration,
        /// `off` and `0` switch it off.
        off: bool,
    },
    /// An amount of bytes.
    Size {
        /// The fewest.
        min: u64,
        /// The most.
        max: u64,
        /// `off` and `0` switch it off.
        off: bool,
    },
    /// A length of time or an amount of bytes, told apart by the unit; `off` and `0` switch it off.
    TimeOrSize {
        /// The shortest and the longest.
        time: (Duration, Duration),
        /// The fewest bytes and the most.
        size: (u64, u64),
    },
    /// Networks, with commas between them.
    Networks,
    /// A number of things.
    Count {
        /// The fewest.
        min: u64,
        /// The most.
        max: u64,
        /// `off` and `0` switch it off.
        off: bool,
    },
}

impl Kind {
    /// Whether `off` is one of its values.
    pub fn has_off(&self) -> bool {
        matches!(
            self,
            Self::TimeOrSize { .. }
                | Self::Duration { off: true, .. }
                | Self::Size { off: true, .. }
                | Self::Count { off: true, .. }
        )
    }
}

/// What holds when an option is not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// Nothing that needs saying.
    None,
    /// This value, as a user would give it.
    Value(&'static str),
    /// It depends; here is on what, in words for people.
    Said(&'static str),
}

/// A value that was read and lies within its option's limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Of `Text` and `Path`.
    Text(String),
    /// Of `Choice`.
    Choice(&'static str),
    /// Of `Wait`.
    Wait(Retry),
    /// Of `Duration`.
    Duration(Duration),
    /// Of `Size` and `Count`.
    Amount(u64),
    /// Of `Networks`.
    Networks(Vec<Net>),
    /// A limit that is switched off.
    Off,
}

/// The settings given for the options of some tables, not yet read. Later ones win over earlier ones, so what should
/// have the last word is put in last.
///
/// A getter is asked by an option's name.
///
/// # Panics
/// Getters panic when no table has an option of that name and kind: the program asks for what it lists itself.
#[derive(Clone, Debug, Default)]
pub struct Values {
    tables: Vec<&'static [Opt]>,
    given: Vec<(&'static Opt, String)>,
}

impl Values {
    /// No settings yet, for the options of `tables`.
    pub fn new(tables: Vec<&'static [Opt]>) -> Self {
        Self {
            tables,
            given: Vec::new(),
        }
    }

    /// The option that has this flag, with its dashes.
    pub fn find(&self, flag: &str) -> Option<&'static Opt> {
        self.options().find(|opt| opt.flag == flag)
    }

    /// Adds what was given for an option: for a switch, anything.
    pub fn put(&mut self, opt: &'static Opt, given: String) {
        self.given.push((opt, given));
    }

    /// The same, but for what was given for one option.
    #[must_use]
    pub fn without(&self, name: &str) -> Self {
        let mut rest = self.clone();
        rest.given.retain(|(opt, _)| opt.name() != name);
        rest
    }

    /// Whether it was given at all.
    pub fn given(&self, name: &str) -> bool {
        self.times(name) > 0
    }

    /// How often it was given.
    pub fn times(&self, name: &str) -> usize {
        self.all(name).count()
    }

    /// All that was given, by flags, in order.
    pub fn pairs(&self) -> Vec<(&'static str, String)> {
        let pairs = self.given.iter();
        pairs
            .map(|(opt, given)| (opt.flag, given.clone()))
            .collect()
    }

    /// What was given for an option, as it was given.
    pub fn all_given(&self, name: &str) -> Vec<String> {
        self.all(name).map(|(_, given)| given.to_owned()).collect()
    }

    /// All that was given for an option of which several add up.
    pub fn texts(&self, name: &str) -> Result<Vec<String>, OptionError> {
        let read = |(opt, given): (&Opt, &str)| match opt.read(given)? {
            Value::Text(text) => Ok(text),
            _ => panic!("{name} is no text"),
        };
        self.all(name).map(read).collect()
    }

    /// A text. `None`: neither given nor preset.
    pub fn text(&self, name: &str) -> Result<Option<String>, OptionError> {
        Ok(self.value(name)?.map(|value| match value {
            Value::Text(text) => text,
            _ => panic!("{name} is no text"),
        }))
    }

    /// A path. `None`: neither given nor preset.
    pub fn path(&self, name: &str) -> Result<Option<PathBuf>, OptionError> {
        Ok(self.text(name)?.map(PathBuf::from))
    }

    /// One of the option's words. `None`: neither given nor preset.
    pub fn choice(&self, name: &str) -> Result<Option<&'static str>, OptionError> {
        Ok(self.value(name)?.map(|value| match value {
            Value::Choice(word) => word,
            _ => panic!("{name} is no choice"),
        }))
    }

    /// The waits between attempts. `None`: neither given nor preset.
    pub fn wait(&self, name: &str) -> Result<Option<Retry>, OptionError> {
        Ok(self.value(name)?.map(|value| match value {
            Value::Wait(wait) => wait,
            _ => panic!("{name} is no wait"),
        }))
    }

    /// A length of time. `None`: switched off, or neither given nor preset.
    pub fn duration(&self, name: &str) -> Result<Option<Duration>, OptionError> {
        Ok(self.value(name)?.and_then(|value| match value {
            Value::Duration(time) => Some(time),
            Value::Off => None,
            _ => panic!("{name} is no duration"),
        }))
    }

    /// A number of bytes or of things. `None`: switched off, or neither given nor preset.
    pub fn amount(&self, name: &str) -> Result<Option<usize>, OptionError> {
        Ok(self.value(name)?.and_then(|value| match value {
            Value::Amount(amount) => {
                Some(usize::try_from(amount).expect("hydrant runs on 64 bits"))
            }
            Value::Off => None,
            _ => panic!("{name} is no amount"),
        }))
    }

    /// All the networks that were given for an option of which several add up; everybody, if none was.
    pub fn access(&self, name: &str) -> Result<Access, OptionError> {
        let mut access = Access::ALL;
        for (opt, given) in self.all(name) {
            match opt.read(given)? {
                Value::Networks(nets) => nets.into_iter().for_each(|net| access.push(net)),
                _ => panic!("{name} is no list of networks"),
            }
        }
        Ok(access)
    }

    /// A value of any kind. `None`: neither given nor preset.
    pub fn value(&self, name: &str) -> Result<Option<Value>, OptionError> {
        let opt = self.opt(name);
        match (self.all(name).last(), opt.preset) {
            (Some((_, given)), _) => opt.read(given).map(Some),
            (None, Preset::Value(preset)) => opt.read(preset).map(Some),
            (None, Preset::None | Preset::Said(_)) => Ok(None),
        }
    }

    /// What was given for an option, in order.
    fn all(&self, name: &str) -> impl Iterator<Item = (&'static Opt, &str)> {
        let opt = self.opt(name);
        let ours = self
            .given
            .iter()
            .filter(|(other, _)| other.flag == opt.flag);
        ours.map(move |(_, given)| (opt, given.as_str()))
    }

    fn opt(&self, name: &str) -> &'static Opt {
        self.options()
            .find(|opt| opt.name() == name)
            .unwrap_or_else(|| panic!("no table has an option {name}"))
    }

    fn options(&self) -> impl Iterator<Item = &'static Opt> {
        self.tables.iter().flat_map(|table| table.iter())
    }
}

fn read_wait(flag: &'static str, given: &str) -> Result<Retry, OptionError> {
    let (min, max) = given.split_once("..").unwrap_or((given, given));
    let read = |text| {
        parse_duration(text).map_err(|error| match error {
            UnitError::TooLarge(_) => OptionError::Number {
                flag,
                error,
                off: false,
            },
            _ => OptionError::NotWait {
                flag,
                given: given.to_owned(),
            },
        })
    };
    let wait = Retry {
        min: read(min)?,
        max: read(max)?,
    };
    if wait.min > wait.max {
        return Err(OptionError::Backwards {
            flag,
            given: given.to_owned(),
        });
    }
    Ok(wait)
}

/// Says which of two limits a range breaks.
fn within<T: PartialOrd>((from, to): (T, T), (min, max): (T, T)) -> Result<(), End> {
    if from < min {
        return Err(End::Low);
    }
    if to > max { Err(End::High) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEC: Duration = Duration::from_secs(1);

    static TABLE: &[Opt] = &[
        Opt {
            flag: "--dump",
            short: Some("-d"),
            ..Opt::SWITCH
        },
        Opt {
            flag: "--name",
            kind: Kind::Text { max: 5 },
            ..Opt::SWITCH
        },
        Opt {
            flag: "--allow",
            kind: Kind::Text { max: 64 },
            many: true,
            ..Opt::SWITCH
        },
        Opt {
            flag: "--file",
            kind: Kind::Path { max: 64 },
            ..Opt::SWITCH
        },
        Opt {
            flag: "--mode",
            kind: Kind::Choice(&["one", "two"]),
            preset: Preset::Value("two"),
            ..Opt::SWITCH
        },
        Opt {
            flag: "--retry",
            kind: Kind::Wait {
                min: SEC,
                max: Duration::from_secs(90),
            },
            ..Opt::SWITCH
        },
        Opt {
            flag: "--hold",
            kind: Kind::Duration {
                min: SEC,
                max: Duration::from_secs(60),
                off: true,
            },
            preset: Preset::Value("2s"),
            ..Opt::SWITCH
        },
        Opt {
            flag: "--every",
            kind: Kind::Duration {
                min: SEC,
                max: Duration::from_secs(60),
                off: false,
            },
            preset: Preset::Said("it depends"),
            ..Opt::SWITCH
        },
        Opt {
            flag: "--ring",
            kind: Kind::Size {
                min: 1 << 16,
                max: 1 << 30,
                off: false,
            },
            ..Opt::SWITCH
        },
        Opt {
            flag: "--lag",
            kind: Kind::Size {
                min: 1 << 16,
                max: 1 << 30,
                off: true,
            },
            ..Opt::SWITCH
        },
        Opt {
            flag: "--max",
            kind: Kind::Count {
                min: 1,
                max: 10,
                off: true,
            },
            ..Opt::SWITCH
        },
        Opt {
            flag: "--behind",
            kind: Kind::TimeOrSize {
                time: (SEC, Duration::from_secs(60)),
                size: (1 << 10, 1 << 30),
            },
            ..Opt::SWITCH
        },
        Opt {
            flag: "--from",
            kind: Kind::Networks,
            many: true,
            ..Opt::SWITCH
        },
        Opt {
            flag: "--least",
            kind: Kind::Count {
                min: 0,
                max: 10,
                off: false,
            },
            ..Opt::SWITCH
        },
    ];

    fn values(given: &[(&str, &str)]) -> Values {
        let mut values = Values::new(vec![TABLE]);
        for (flag, value) in given {
            let opt = values.find(flag).expect("it is in the table");
            values.put(opt, (*value).to_owned());
        }
        values
    }

    #[test]
    fn nothing_given_leaves_the_presets() {
        let none = values(&[]);
        assert_eq!((none.given("dump"), none.times("dump")), (false, 0));
        assert_eq!(none.choice("mode"), Ok(Some("two")));
        assert_eq!(none.duration("hold"), Ok(Some(2 * SEC)));
        assert_eq!(none.duration("every"), Ok(None));
        assert_eq!(
            (none.text("name"), none.path("file"), none.wait("retry")),
            (Ok(None), Ok(None), Ok(None))
        );
        assert_eq!((none.amount("ring"), none.times("allow")), (Ok(None), 0));
        assert!(none.find("--nothing").is_none() && none.find("dump").is_none());
    }

    #[test]
    fn the_last_one_wins_and_lists_add_up() {
        let twice = values(&[
            ("--mode", "two"),
            ("--allow", "a"),
            ("--dump", ""),
            ("--mode", "one"),
            ("--allow", "b"),
            ("--dump", ""),
        ]);
        assert_eq!(twice.choice("mode"), Ok(Some("one")));
        assert_eq!((twice.times("allow"), twice.times("dump")), (2, 2));
    }

    #[test]
    fn values_are_read_by_their_kind() {
        let v = values(&[
            ("--name", "café"),
            ("--file", "/tmp/x"),
            ("--retry", "1..1m"),
            ("--hold", "off"),
            ("--ring", "64K"),
            ("--lag", "0"),
            ("--max", "10"),
            ("--least", "0"),
        ]);
        assert_eq!(v.text("name"), Ok(Some("café".to_owned())));
        assert_eq!(v.path("file"), Ok(Some(PathBuf::from("/tmp/x"))));
        assert_eq!(
            v.wait("retry"),
            Ok(Some(Retry {
                min: SEC,
                max: 60 * SEC
            }))
        );
        assert_eq!(v.duration("hold"), Ok(None));
        assert_eq!(
            (v.amount("ring"), v.amount("lag")),
            (Ok(Some(1 << 16)), Ok(None))
        );
        assert_eq!(
            (v.amount("max"), v.amount("least")),
            (Ok(Some(10)), Ok(Some(0)))
        );
        assert_eq!(
            values(&[("--retry", "1.5")]).wait("retry"),
            Ok(Some(Retry {
                min: SEC * 3 / 2,
                max: SEC * 3 / 2
            }))
        );
        assert_eq!(values(&[("--hold", "0s")]).duration("hold"), Ok(None));
        assert_eq!(values(&[("--max", "off")]).amount("max"), Ok(None));
    }

    #[test]
    fn a_unit_tells_a_time_from_a_size() {
        let read = |given| values(&[("--behind", given)]).value("behind").unwrap();
        for (given, secs) in [("10s", 10), ("1500ms", 1), ("1m", 60), ("0.5m", 30)] {
            let Some(Value::Duration(time)) = read(given) else {
                panic!("{given} is a time")
            };
            assert_eq!(time.as_secs(), secs, "{given}");
        }
        for (given, bytes) in [
            ("4K", 4 << 10),
            ("4k", 4 << 10),
            ("4M", 4 << 20),
            ("1G", 1 << 30),
        ] {
            assert_eq!(read(given), Some(Value::Amount(bytes)), "{given}");
        }
        for off in ["off", "0", "0s", "0M"] {
            assert_eq!(read(off), Some(Value::Off), "{off}");
        }
        assert_eq!(values(&[]).value("behind"), Ok(None));
    }

    #[test]
    fn networks_add_up() {
        let access =
            values(&[("--from", "10.0.0.0/8,192.0.2.7"), ("--from", "::1")]).access("from");
        let access = access.unwrap();
        for (ip, inside) in [
            ("10.1.1.1", true),
            ("192.0.2.7", true),
            ("::1", true),
            ("192.0.2.8", false),
        ] {
            assert_eq!(access.allows(ip.parse().unwrap()), inside, "{ip}");
        }
        assert_eq!(values(&[]).access("from"), Ok(Access::ALL));
    }

    /// Flag, value, and what is said about it; `<...>` stands for one of the phrases below.
    const MISTAKES: &str = "
--dump|yes|--dump takes no value
--name||--name needs a value
--name|too long|--name: 8 bytes are too long: the most is 5
--mode|three|--mode: three is none of one, two
--mode||--mode needs a value
--retry|-1|--retry: -1 <wait>
--retry|off|--retry: off <wait>
--retry|1..|--retry: 1.. <wait>
--retry|1..2..3|--retry: 1..2..3 <wait>
--retry|5..1|--retry: 5..1 has its longer wait first
--retry|0|--retry: 0 is too little: the least is 1s
--retry|1..2m|--retry: 1..2m is too much: the most is 90s
--retry|99999999999999999999|--retry: 99999999999999999999 is too large
--hold|soon|--hold: soon <time>, or off
--hold|250ms|--hold: 250ms is too little: the least is 1s
--every|off|--every: off <time>
--every|0|--every: 0 is too little: the least is 1s
--every|1h|--every: 1h is too much: the most is 1m
--ring|64KB|--ring: 64KB is not a size: write 4096, 64K, 4M or 1G
--ring|1K|--ring: 1K is too little: the least is 64K
--ring|2G|--ring: 2G is too much: the most is 1G
--lag|x|--lag: x is not a size: write 4096, 64K, 4M or 1G, or off
--max|many|--max: many is not a whole number: write one, or off
--max|11|--max: 11 is too much: the most is 10
--max|99999999999999999999|--max: 99999999999999999999 is too large
--behind|65536|--behind: 65536 could be a time or a size: write 10s or 4M, or off
--behind|1.5|--behind: 1.5 could be a time or a size: write 10s or 4M, or off
--behind|soon|--behind: soon is neither a time nor a size: write 10s or 4M, or off
--behind|4MB|--behind: 4MB is neither a time nor a size: write 10s or 4M, or off
--behind|-1s|--behind: -1s is neither a time nor a size: write 10s or 4M, or off
--behind|1ms|--behind: 1ms is too little: the least is 1s
--behind|4m|--behind: 4m is too much: the most is 1m
--behind|2G|--behind: 2G is too much: the most is 1G
--from|10.0.0.0/33|--from: 10.0.0.0/33 <net>
--from|10.0.0.0/8,,::1|--from: \"\" <net>
--from|off|--from: off <net>
--least|-1|--least: -1 is not a whole number
";

    #[test]
    fn mistakes_name_the_flag_the_value_and_what_would_do() {
        let wait = "is not a wait: write 5, 250ms or 2m, or a range such as 1s..30s";
        let time = "is not a duration: write 5, 0.2, 250ms, 5s, 2m, 1h or 1d";
        let net = "is no network: write 10.0.0.0/8, 2001:db8::/32 or one address";
        let read = |flag, value| {
            let opt = values(&[]).find(flag).expect("it is in the table");
            opt.read(value).expect_err(value).to_string()
        };
        for line in MISTAKES.lines().filter(|line| !line.is_empty()) {
            let mut parts = line.splitn(3, '|');
            let mut part = || parts.next().expect("three parts");
            let (flag, value, message) = (part(), part(), part());
            assert_eq!(
                read(flag, value),
                message
                    .replace("<wait>", wait)
                    .replace("<time>", time)
                    .replace("<net>", net)
            );
        }
        assert_eq!(
            read("--name", "a\nb"),
            "--name: \"a\\nb\" has a control character"
        );
        for unseen in ['\u{202e}', '\u{2028}', '\u{a0}', '\u{200b}', '\u{feff}'] {
            let name = format!("a{unseen}b");
            let opt = values(&[]).find("--name").expect("it is in the table");
            let wrong = opt.read(&name).expect_err(&name).to_string();
            let escaped = format!(
                "--name: \"a{}b\" has a character that can't be seen",
                unseen.escape_unicode()
            );
            assert_eq!(wrong, escaped);
        }
    }

    #[test]
    #[should_panic(expected = "no table has an option nothing")]
    fn the_program_asks_only_for_what_it_lists() {
        let _ = values(&[]).given("nothing");
    }
}
