//! The fee and staking assets.
#![allow(missing_docs, reason = "the names are the contract's; sol! gives its generated items no place for more")]

alloy::sol! {
    #![sol(all_derives)]

    /// An ERC-20 token; `mint` is there on a development deployment, for its owner and minters.
    #[sol(rpc)]
    interface IErc20 {
        function approve(address spender, uint256 value) external returns (bool);
        function transfer(address to, uint256 value) external returns (bool);
        function allowance(address owner, address spender) external view returns (uint256);
        function balanceOf(address account) external view returns (uint256);
        function mint(address _to, uint256 _amount) external;
        function addMinter(address _minter) external;
    }
}
