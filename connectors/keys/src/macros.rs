//! The two macros that declare keys.

/// Declares a struct whose fields are config keys; derives `Debug` and `Clone` and implements
/// [`Keys`](crate::Keys). A hand-written [`Check`](crate::Check), possibly empty, completes it.
///
/// A field has a doc comment, which becomes the documentation, and `#[key("…")]` with any number of `alias = "…"` and
/// then an optional `range = …`. Its type determines how it is read:
///
/// | Type | Key |
/// |---|---|
/// | a [`ConfigValue`](crate::ConfigValue) | required, unless a default follows: `= 5` |
/// | `Option` of one | may be absent |
/// | [`Named`](crate::Named) of another such struct | `objects.{}`: one struct for each name |
/// | [`Pairs`](crate::Pairs) | `kafka.{}`: all keys with this prefix, uninterpreted |
#[macro_export]
macro_rules! config_keys {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident {
            $(
                $(#[doc = $doc:literal])*
                #[key($key:literal $(, alias = $alias:literal)* $(, range = $range:expr)? $(,)?)]
                $field_vis:vis $field:ident : $ty:ty $(= $default:expr)?
            ),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone)]
        $vis struct $name {
            $(
                $(#[doc = $doc])*
                $field_vis $field: $ty,
            )*
        }

        impl $crate::Keys for $name {
            fn definitions() -> ::std::vec::Vec<$crate::KeyDefinition> {
                let mut definitions = ::std::vec::Vec::new();
                $(
                    definitions.extend(<$ty as $crate::Field>::define(
                        $crate::KeySpec::<$ty>::new($key, &[$($doc),*])
                            $(.alias($alias))* $(.range($range))? $(.default_value($default))?,
                    ));
                )*
                definitions
            }

            fn foreign() -> ::std::vec::Vec<(&'static str, &'static str)> {
                <Self as $crate::Check>::foreign().to_vec()
            }

            fn read(reader: &mut $crate::FlatReader<'_>) -> ::std::option::Option<Self> {
                $(
                    let $field = <$ty as $crate::Field>::read(
                        $crate::KeySpec::<$ty>::new($key, &[$($doc),*])
                            $(.alias($alias))* $(.range($range))? $(.default_value($default))?,
                        reader,
                    );
                )*
                let config = Self { $($field: $field?),* };
                reader.check(&config);
                ::std::option::Option::Some(config)
            }
        }
    };
}

/// Declares an enum whose variants are the values of a key; derives the usual traits and implements
/// [`ConfigValue`](crate::ConfigValue). `as_str` gives the value of a variant.
#[macro_export]
macro_rules! config_enum {
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident {
            $(
                $(#[doc = $doc:literal])*
                $variant:ident = $text:literal
            ),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        $vis enum $name {
            $(
                $(#[doc = $doc])*
                $variant,
            )*
        }

        impl $name {
            /// The value as written in a config.
            #[allow(dead_code, reason = "not every declaration needs it")]
            $vis fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }

        impl $crate::ConfigValue for $name {
            fn type_name() -> ::std::string::String {
                ::std::string::String::from("choice")
            }

            fn allowed() -> ::std::vec::Vec<(&'static str, &'static str)> {
                ::std::vec![$(($text, ::std::concat!($($doc, "\n"),*).trim())),*]
            }

            fn parse(
                given: &$crate::Given<'_>,
            ) -> ::std::result::Result<Self, $crate::Invalid> {
                given.choice(&[$(($text, Self::$variant)),*])
            }

            fn to_text(&self, _key: &str) -> ::std::string::String {
                ::std::string::String::from(self.as_str())
            }
        }
    };
}
