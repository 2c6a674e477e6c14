-- +goose Up
-- Rows are never updated, but for the material of a purged key, and never deleted.

create table key (
    id          uuid primary key,
    name        text not null,
    generation  integer not null, -- how many keys of that name were purged before this one
    cipher      text not null,
    bit_length  integer not null,
    description text,
    attributes  json not null,    -- json and not jsonb: a NUL, which Hadoop takes, stays an escape
    created     timestamptz not null,
    created_by  text not null,
    constraint key_name_generation unique (name, generation)
);

create table key_version (
    id          uuid primary key,
    key_id      uuid not null references key,
    ordinal     integer not null,
    name        text not null,
    kek         text not null,
    sealed      bytea,            -- null once a purged key was swept
    check_value bytea,
    constraint key_version_ordinal unique (key_id, ordinal)
);
create index key_version_name on key_version (name);

create table key_change (
    id         uuid primary key,
    key_id     uuid not null references key,
    seq        integer not null,
    kind       text not null check (kind in ('created', 'rolled', 'deleted', 'undeleted', 'purged')),
    version_id uuid references key_version,
    at         timestamptz not null,
    by_whom    text not null,
    from_where text not null,
    request_id text,
    xid        xid8 not null default pg_current_xact_id(),
    constraint key_change_seq unique (key_id, seq),
    constraint key_change_version unique (version_id),
    constraint key_change_request unique (request_id),
    constraint key_change_makes check ((version_id is not null) = (kind in ('created', 'rolled')))
);

-- +goose Down
drop table key_change, key_version, key;
