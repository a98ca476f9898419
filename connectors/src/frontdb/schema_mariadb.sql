-- The tables of the exchange database that this connector uses. Column names and types as counterparts have them
-- (docs/formats/frontdb.md); created only when the settings say `create_tables = true`.
CREATE TABLE IF NOT EXISTS up_lic_data (
    row_guid                varchar(50) PRIMARY KEY,
    certificate_source_id   varchar(128) NOT NULL,
    certificate_name        varchar(512) NOT NULL,
    certificate_type        varchar(256) NOT NULL,
    certificate_type_code   varchar(64) NOT NULL,
    certificate_number      varchar(128) NOT NULL,
    certificate_holder      mediumtext NOT NULL,
    certificate_holder_code mediumtext NOT NULL,
    certificate_holder_type varchar(2000) NOT NULL,
    certificate_area_code   varchar(32) NOT NULL,
    issue_dept              varchar(256) NOT NULL,
    issue_dept_code         varchar(32) NOT NULL,
    issue_date              varchar(32) NOT NULL,
    cd_batch                varchar(32) NOT NULL,
    cd_operation            varchar(2) NOT NULL,
    cd_time                 datetime NOT NULL,
    data_source             varchar(3) NOT NULL
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS dn_lic_data_error (
    row_guid              varchar(50),
    certificate_source_id varchar(128),
    error_remark          text,
    error_time            datetime(6),
    KEY dn_lic_data_error_row (row_guid)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
